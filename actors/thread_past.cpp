#include "actors/thread_past.hpp"

#include <stdexcept>
#include <utility>
#include <variant>

namespace banyan {

thread_past read_again(std::span<const segment> segments, trace::options options) {
  thread_past past{.grammar = trace(segments.front().text, options)};
  std::size_t offset = 0; // of the segment in the text
  for (const auto& part : segments) {
    past.first_child += static_cast<std::uint32_t>(past.open.size());
    past.open.clear();
    if (part.kind == segment_kind::joined)
      past.grammar.rejoin(part.text.substr(past.spawn_offset - offset));
    if (part.sampled()) {
      auto said = past.grammar.feed(part.text, false);
      if (auto* spawned = std::get_if<verdict::spawn>(&said)) {
        ++past.rounds;
        past.open = std::move(spawned->prompts);
        past.spawn_offset = past.grammar.spawn_offset();
      } else if (part.kind == segment_kind::spawn) {
        throw std::runtime_error("a record whose spawn block spawns nothing");
      }
    }
    if (part.kind != segment_kind::spawn) offset += part.text.size();
  }
  return past;
}

} // namespace banyan
