// Whatever a model writes, in whatever pieces: nothing crashes, the size of the pieces makes no
// difference, and the text that a join leaves behind is the text that was there before.

#include "solver/trace.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace banyan;

void require(bool holds) {
  if (!holds) std::abort();
}

/// One input is several texts: a zero byte ends one, so that the fuzzer decides where a thread
/// stops.
std::vector<std::string_view> split(std::string_view input) {
  std::vector<std::string_view> texts;
  for (auto end = input.find('\0'); end != std::string_view::npos; end = input.find('\0')) {
    texts.push_back(input.substr(0, end));
    input.remove_prefix(end + 1);
  }
  texts.push_back(input);
  return texts;
}

trace_verdict feed_in_pieces(trace& t, std::string_view text, std::size_t piece) {
  for (std::size_t at = 0; at < text.size(); at += piece) {
    auto said = t.feed(text.substr(at, piece), false);
    if (!std::holds_alternative<verdict::more>(said)) return said;
  }
  return t.feed({}, true);
}

/// Answers half of the children with the last text: mostly rubbish, sometimes a solution.
void join(trace& t, std::size_t num_children, std::string_view claim) {
  const auto offset = t.spawn_offset();
  require(offset <= t.text().size());
  const auto before = t.text().substr(0, offset);
  std::vector<child_result> children(num_children);
  for (std::size_t i = 0; i < num_children; i += 2) children[i].solution = std::string(claim);
  const auto put = t.join(children);
  require(t.text() == before + put);
  require(t.spawn_offset() == std::string::npos);
}

/// Everything that can be seen of a thread, in one text.
std::string told(std::string_view prompt, const std::vector<std::string_view>& texts,
                 std::size_t piece) {
  trace t(prompt);
  std::string all;
  for (const auto text : texts) {
    const auto said = feed_in_pieces(t, text, piece);
    all += static_cast<char>('0' + said.index());
    if (auto* done = std::get_if<verdict::done>(&said)) all += done->solution;
    if (auto* malformed = std::get_if<verdict::malformed>(&said)) all += malformed->why;
    const auto* spawn = std::get_if<verdict::spawn>(&said);
    if (!spawn) return all;
    for (const auto& child : spawn->prompts) {
      all += child;
      trace(child).feed(texts.back(), true);
    }
    all += t.text();
    join(t, spawn->prompts.size(), texts.back());
  }
  return all + t.text();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto texts = split(input);
  if (const auto p = parse_root_prompt(texts.front()))
    require(parse_root_prompt(root_prompt(*p)) == p);
  const auto root = root_prompt({{42, 61, 66}, 47});
  require(told(root, texts, 1) == told(root, texts, size + 1));
  told(texts.front(), texts, 7); // the prompt is anything, too
  return 0;
}
