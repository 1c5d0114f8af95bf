#include "actors/transcript.hpp"

#include "actors/messages.hpp"
#include "tests/scripted_pool.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// As if sampled: `text` in the codec's tokens, logprobs -1, -2, …
decode_reply sampled(const codec& c, std::string_view text) {
  decode_reply reply;
  reply.ids = c.encode(text);
  for (std::size_t i = 0; i < reply.ids.size(); ++i) reply.logprobs.push_back(-1.0f * (i + 1));
  reply.epochs.assign(reply.ids.size(), 3);
  return reply;
}

TEST_CASE("a context begins with the codec's own tokens and the prompt", "[actors]") {
  const auto codec = toy_codec();
  const transcript t(codec, "ab");
  CHECK(t.context() == std::vector<std::int32_t>{toy_bos, 'a', 'b'});
  CHECK(t.segments().size() == 1);
}

TEST_CASE("sampled ids stay as they came", "[actors]") {
  const auto codec = toy_codec({"cd"});
  transcript t(codec, "ab");
  auto apart = sampled(toy_codec(), "cd"); // two tokens where encoding the text would give one
  CHECK(t.append(apart) == "cd");
  CHECK(t.context() == std::vector<std::int32_t>{toy_bos, 'a', 'b', 'c', 'd'});
  CHECK(t.segments().at(1).ids == apart.ids);
}

TEST_CASE("text that comes in pieces is returned once", "[actors]") {
  const auto codec = toy_codec();
  transcript t(codec, "ab");
  CHECK(t.append(sampled(codec, "cd")) == "cd");
  CHECK(t.append(sampled(codec, "ef")) == "ef");
  CHECK(t.segments().at(1).text == "cdef");
}

TEST_CASE("a spawn block is cut out at a token's boundary", "[actors]") {
  const auto codec = toy_codec();
  transcript t(codec, "ab");
  t.append(sampled(codec, "cd<s>"));
  t.open_spawn(4);
  const auto open = t.segments();
  CHECK(open.at(1).text == "cd");
  CHECK(open.at(1).logprobs == std::vector{-1.0f, -2.0f});
  CHECK(open.at(2).kind == segment_kind::spawn);
  CHECK(open.at(2).logprobs == std::vector{-3.0f, -4.0f, -5.0f});
  t.join("J");
  CHECK(t.context() == std::vector<std::int32_t>{toy_bos, 'a', 'b', 'c', 'd', 'J'});
}

TEST_CASE("a token that reaches into the spawn block gives its first bytes to the join",
          "[actors]") {
  const auto codec = toy_codec({"d<"});
  transcript t(codec, "ab");
  t.append(sampled(codec, "cd<s>"));
  t.open_spawn(4); // the '<', in the middle of "d<"
  t.join("J");
  const auto all = t.segments();
  CHECK(all.at(1).text == "c");
  CHECK(all.at(2).text == "d<s>");
  CHECK(all.at(2).ids.front() == first_phrase);
  CHECK(all.at(3).text == "dJ");
  CHECK(t.context() == std::vector<std::int32_t>{toy_bos, 'a', 'b', 'c', 'd', 'J'});
}

TEST_CASE("a second spawn is found behind the first join", "[actors]") {
  const auto codec = toy_codec({"d<"});
  transcript t(codec, "ab");
  t.append(sampled(codec, "cd<s>"));
  t.open_spawn(4);
  t.join("JOIN"); // the text is now "abcdJOIN"
  CHECK(t.at_stretch_begin());
  t.append(sampled(codec, "ef<s>"));
  t.open_spawn(10);
  t.join("K");
  CHECK(codec.decode(t.context()) == "abcdJOINefK");
  CHECK(t.segments().size() == 7);
}

TEST_CASE("a spawn right after a join leaves an empty written segment", "[actors]") {
  const auto codec = toy_codec();
  transcript t(codec, "ab");
  t.append(sampled(codec, "<s>"));
  t.open_spawn(2);
  CHECK(t.segments().at(1).kind == segment_kind::written);
  CHECK(t.segments().at(1).ids.empty());
  CHECK(t.segments().at(2).text == "<s>");
}

TEST_CASE("a token without text before a spawn block stays in the context", "[actors]") {
  const auto codec = toy_codec();
  transcript t(codec, "ab");
  auto reply = sampled(codec, "c<s>");
  reply.ids[0] = toy_bos;
  t.append(reply);
  t.open_spawn(2);
  CHECK(t.context() == std::vector<std::int32_t>{toy_bos, 'a', 'b', toy_bos});
}

TEST_CASE("a reply without a logprob per id is refused", "[actors]") {
  const auto codec = toy_codec();
  transcript t(codec, "ab");
  auto reply = sampled(codec, "cd");
  reply.logprobs.pop_back();
  CHECK_THROWS_AS(t.append(reply), std::invalid_argument);
}

/// Drops the space at the begin of a text, as SentencePiece does.
codec stripping_codec() {
  auto c = toy_codec({" x"});
  c.decode = [whole = c.decode](std::span<const std::int32_t> ids) {
    auto text = whole(ids);
    return text.starts_with(' ') ? text.substr(1) : text;
  };
  return c;
}

TEST_CASE("a space at the begin of a stretch is not lost", "[actors]") {
  const auto codec = stripping_codec();
  transcript t(codec, "ab");
  CHECK(t.append(sampled(codec, " x")) == " x");
}

} // namespace
} // namespace banyan
