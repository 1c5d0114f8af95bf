#include "apps/text_width.hpp"

#include <algorithm>
#include <cwchar>

#include <locale.h>

namespace banyan {
namespace {

/// This OS thread reads UTF-8, whatever its locale is otherwise.
class reading_utf8 {
public:
  reading_utf8() : before_(::uselocale(utf8())) {}
  ~reading_utf8() { ::uselocale(before_); }
  reading_utf8(const reading_utf8&) = delete;
  reading_utf8& operator=(const reading_utf8&) = delete;

private:
  static locale_t utf8() {
    static const auto known = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
    return known; // null: glibc before 2.35 may have none, and the locale stays
  }
  locale_t before_;
};

struct character {
  std::size_t bytes = 1, columns = 1;
};

/// Of a text that is not empty.
character first_character(std::string_view text) {
  std::mbstate_t state{};
  wchar_t letter{};
  const auto bytes = std::mbrtowc(&letter, text.data(), text.size(), &state);
  if (bytes == 0 || bytes > text.size()) return {}; // no UTF-8
  const auto columns = ::wcwidth(letter);
  return {bytes, columns < 0 ? 1 : static_cast<std::size_t>(columns)};
}

} // namespace

std::size_t width_of(std::string_view text) {
  const reading_utf8 here;
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto next = first_character(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  const reading_utf8 here;
  std::size_t end = 0, used = 0;
  while (end < text.size()) {
    const auto next = first_character(text.substr(end));
    if (used + next.columns > columns) break;
    used += next.columns;
    end += next.bytes;
  }
  return text.substr(0, end);
}

std::string_view last_columns(std::string_view text, std::size_t columns) {
  const auto width = width_of(text);
  const reading_utf8 here;
  std::size_t over = width - std::min(width, columns);
  while (over > 0) {
    const auto next = first_character(text);
    over -= std::min(over, next.columns);
    text.remove_prefix(next.bytes);
  }
  return text;
}

} // namespace banyan
