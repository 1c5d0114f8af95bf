#include "actors/thread_past.hpp"

#include "tests/session_system.hpp"

#include <stdexcept>

namespace banyan {
namespace {

segment part(segment_kind kind, std::string text) { return {kind, std::move(text), {}, {}, {}}; }

std::string joined(const std::string& child) {
  return "<Sub Searches>\n<Goal Reached in Sub Search 0 at level 1 at Node #0,1>\n" + child
         + "<No Solution in Sub Search 1 at level 1 at Node #0,0>\n<End Sub Searches>\n";
}

using strings = std::vector<std::string>;

TEST_CASE("a thread that was cut off while it waits asks for the same children", "[actors]") {
  const std::vector<segment> segments{part(segment_kind::prompt, texts::prompt),
                                      part(segment_kind::written, texts::expansion),
                                      part(segment_kind::spawn, texts::spawn_two)};
  const auto past = read_again(segments, {.level = 1});
  CHECK(past.open == strings{texts::good_prompt, texts::bad_prompt});
  CHECK(past.rounds == 1);
  CHECK(past.first_child == 0);
  CHECK(past.spawn_offset == texts::prompt.size() + texts::expansion.size());
}

TEST_CASE("a thread that had joined waits for nobody and counts its children", "[actors]") {
  const std::vector<segment> segments{part(segment_kind::prompt, texts::prompt),
                                      part(segment_kind::written, texts::expansion),
                                      part(segment_kind::spawn, texts::spawn_two),
                                      part(segment_kind::joined, joined(texts::good_solution)),
                                      part(segment_kind::written, "47,47 eq")};
  auto past = read_again(segments, {.level = 1});
  CHECK(past.open.empty());
  CHECK(past.rounds == 1);
  CHECK(past.first_child == 2);
  // The grammar goes on in the middle of a line.
  const auto said = past.grammar.feed(texts::conclusion.substr(8), true);
  REQUIRE(std::holds_alternative<verdict::done>(said));
  CHECK(std::get<verdict::done>(said).solution == texts::root_solution);
}

TEST_CASE("a record that nobody can have written is refused", "[actors]") {
  const std::vector<segment> segments{part(segment_kind::prompt, texts::prompt),
                                      part(segment_kind::spawn, texts::expansion)};
  CHECK_THROWS_AS(read_again(segments, {.level = 1}), std::runtime_error);
}

} // namespace
} // namespace banyan
