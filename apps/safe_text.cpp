#include "apps/safe_text.hpp"

#include <algorithm>

namespace banyan {

namespace {

/// Length of the UTF-8 that the text begins with; 0: it is none.
std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t size = first < 0x80                    ? 1
                           : first >= 0xc2 && first < 0xe0 ? 2
                           : first >= 0xe0 && first < 0xf0 ? 3
                           : first >= 0xf0 && first < 0xf5 ? 4
                                                           : 0;
  if (size == 0 || text.size() < size) return 0;
  const auto rest = text.substr(1, size - 1);
  return std::ranges::all_of(rest, [](char c) { return (c & 0xc0) == 0x80; }) ? size : 0;
}

std::uint32_t number_of(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first;
  std::uint32_t number = first & (0x7fU >> character.size());
  for (const char c : character.substr(1))
    number = number << 6 | (static_cast<unsigned char>(c) & 0x3fU);
  return number;
}

bool is_unsafe(std::uint32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool turns_around = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return control || turns_around;
}

} // namespace

leading_character first_of(std::string_view text) {
  const auto bytes = utf8_length(text);
  if (bytes == 0) return {1, static_cast<unsigned char>(text.front())};
  const auto number = number_of(text.substr(0, bytes));
  if (is_unsafe(number)) return {bytes, number};
  return {bytes, {}};
}

} // namespace banyan
