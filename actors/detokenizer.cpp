#include "actors/detokenizer.hpp"

#include "actors/config.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace banyan {
namespace {

constexpr std::string_view no_character = "\xef\xbf\xbd"; // U+FFFD

/// What a text of at least one byte begins with.
struct beginning {
  std::size_t size = 0; ///< of the character; 0: none begins there
  bool whole = true;    ///< all of its bytes are there
};

/// By the table of well-formed byte sequences in the Unicode standard.
beginning begin_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t i = 1; i < std::min(size, text.size()); ++i)
    if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xbf)) return {};
  return {size, size <= text.size()};
}

/// Bytes of a text in front of its first character that is not whole; `none` gets those of them
/// that belong to no character.
std::size_t whole_part(std::string_view text, bool last, std::vector<std::size_t>& none) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto [size, whole] = begin_of(text.substr(at));
    if (!whole && !last) return at;
    if (size == 0 || !whole) none.push_back(at);
    at += size == 0 || !whole ? 1 : size;
  }
  return at;
}

} // namespace

detokenizer::detokenizer(const codec& c, bool behind_text)
    : codec_(&c), behind_text_(behind_text) {}

std::vector<std::string> detokenizer::add(std::span<const std::int32_t> ids) {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const auto id : ids) {
    held_.push_back(bytes_of(id));
    release(texts, false);
  }
  return texts;
}

std::vector<std::string> detokenizer::finish() {
  std::vector<std::string> texts;
  release(texts, true);
  return texts;
}

/// At the begin of a text some vocabularies drop a space.
std::string detokenizer::bytes_of(std::int32_t id) {
  auto bytes = codec_->piece(id);
  if (bytes.empty() || std::exchange(behind_text_, true)) return bytes;
  return bytes.front() == ' ' ? codec_->decode({&id, 1}) : bytes;
}

/// Of a character that reaches over several tokens each of them has its bytes.
void detokenizer::release(std::vector<std::string>& to, bool last) {
  std::vector<std::size_t> none;
  const auto whole = whole_part(laid_end_to_end(held_), last, none);
  auto broken = none.begin();
  std::size_t begin = 0, count = 0; // of the next token; tokens that go
  for (; count < held_.size() && begin + held_[count].size() <= whole; ++count) {
    const auto bytes = std::move(held_[count]);
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const bool is_none = broken != none.end() && *broken == begin + i;
      is_none ? text += no_character : text += bytes[i];
      broken += is_none;
    }
    begin += bytes.size();
    to.push_back(std::move(text));
  }
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
}

std::string laid_end_to_end(const std::vector<std::string>& texts) {
  std::string whole;
  for (const auto& text : texts) whole += text;
  return whole;
}

} // namespace banyan
