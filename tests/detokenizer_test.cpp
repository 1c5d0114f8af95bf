#include "actors/detokenizer.hpp"

#include "tests/scripted_pool.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using texts = std::vector<std::string>;

/// What each byte of the text makes certain, and then its end.
texts byte_by_byte(std::string_view text) {
  const auto codec = toy_codec();
  detokenizer d(codec, true);
  texts told;
  for (const auto id : codec.encode(text)) told.push_back(laid_end_to_end(d.add({&id, 1})));
  told.push_back(laid_end_to_end(d.finish()));
  return told;
}

const std::string none = "\xef\xbf\xbd";

TEST_CASE("a character is told when its last byte is there", "[actors]") {
  CHECK(byte_by_byte("ab") == texts{"a", "b", ""});
  CHECK(byte_by_byte("\xc3\xa9x") == texts{"", "\xc3\xa9", "x", ""});
  CHECK(byte_by_byte("\xe2\x82\xac") == texts{"", "", "\xe2\x82\xac", ""});
  CHECK(byte_by_byte("\xf0\x9f\x8c\xb3") == texts{"", "", "", "\xf0\x9f\x8c\xb3", ""});
}

TEST_CASE("each byte that is part of no character is told as one that is none", "[actors]") {
  CHECK(byte_by_byte("\x80") == texts{none, ""});
  CHECK(byte_by_byte("\xe2\x82") == texts{"", "", none + none});
  CHECK(byte_by_byte("\xe2\x82z") == texts{"", "", none + none + "z", ""});
  CHECK(byte_by_byte("\xc3\xc3\xa9") == texts{"", none, "\xc3\xa9", ""});
  CHECK(byte_by_byte("\xc0\xaf") == texts{none, none, ""});                // too long a form
  CHECK(byte_by_byte("\xed\xa0\x80") == texts{"", none + none, none, ""}); // a surrogate
  CHECK(byte_by_byte("\xf4\x90") == texts{"", none + none, ""});           // beyond Unicode
  CHECK(byte_by_byte("\xe0\x9f") == texts{"", none + none, ""});           // too long a form
}

TEST_CASE("the texts of tokens laid end to end are the text", "[actors]") {
  const auto codec = toy_codec({"d\xe2\x82", "\xac!"});
  detokenizer d(codec, true);
  const std::vector<std::int32_t> ids{'c', first_phrase, toy_eos, first_phrase + 1};
  CHECK(d.add({ids.data(), 3}) == texts{"c"});
  CHECK(d.add({ids.data() + 3, 1}) == texts{"d\xe2\x82", "", "\xac!"});
  CHECK(d.finish().empty());
}

/// Drops the space at the begin of a text, as SentencePiece does.
TEST_CASE("a space is dropped where the vocabulary drops it and nowhere else", "[actors]") {
  auto codec = toy_codec({" x"});
  codec.decode = [whole = codec.decode](std::span<const std::int32_t> ids) {
    auto text = whole(ids);
    return text.starts_with(' ') ? text.substr(1) : text;
  };
  const std::vector<std::int32_t> ids{toy_bos, first_phrase, first_phrase};
  CHECK(laid_end_to_end(detokenizer(codec, false).add(ids)) == "x x");
  CHECK(laid_end_to_end(detokenizer(codec, true).add(ids)) == " x x");
}

} // namespace
} // namespace banyan
