#include "solver/heap.hpp"
#include "solver/problems.hpp"
#include "tests/searched.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>

using namespace banyan;

// ---- conditioning

TEST_CASE("the number of children stands before the root prompt and nowhere else", "[solver]") {
  search_options options;
  options.condition_children = true;
  for_each_demonstration(options, [](const tree& t) {
    auto budget = "Sub Call Budget: " + std::to_string(t.threads.size() - 1) + " ";
    CHECK(t.prompt == budget + root_prompt(t.problem));
    CHECK(t.root().segments[0].text == t.prompt);
    CHECK(parse_root_prompt(t.prompt) == t.problem);
    for (std::size_t i = 1; i < t.threads.size(); ++i)
      CHECK(t.threads[i].segments[0].text.starts_with("Moving to Node #0,"));
  });
}

TEST_CASE("the condition stands before as many prompts as asked for", "[solver]") {
  search_options options;
  options.condition_children = true;
  options.condition_share = 0.3;
  int conditioned = 0, all = 0;
  for_each_demonstration(options, [&](const tree& t) {
    conditioned += t.prompt.starts_with("Sub Call Budget: ");
    ++all;
  });
  CHECK(conditioned > all / 5);
  CHECK(conditioned < all * 2 / 5);
}

TEST_CASE("a root that spawns all it can may be asked for more", "[solver]") {
  auto options = in_generation_order(search_kind::apr, 15, 1);
  options.condition_children = true;
  options.condition_up_to = 15;
  int more = 0;
  for_each_demonstration(
      options,
      [&](const tree& t) {
        const auto asked = std::stoi(after(t.prompt, "Sub Call Budget: "));
        const auto children = static_cast<int>(t.threads.size() - 1);
        CHECK(asked >= children);
        CHECK(asked <= 15);
        more += asked > children;
      },
      3);
  CHECK(more > 50);
  options.beam_low = options.beam_high = 2;
  for_each_demonstration(
      options, [](const tree& t) { CHECK(t.prompt.starts_with("Sub Call Budget: 2 ")); }, 3);
}

// ---- joined at the first success

TEST_CASE("a round joined at its first success reports one child and cancels what still ran",
          "[solver]") {
  auto options = in_generation_order(search_kind::apr, 15, 1);
  auto first = options;
  first.first_success_share = 1;
  int cancelled = 0;
  for (std::uint64_t i = 0; i < 50; ++i) {
    auto p = draw_problem({.num_numbers = 3, .seed = 5}, i, {});
    auto everything = demonstrate(p, options, i), t = demonstrate(p, first, i);
    CHECK(t.outcome.solved == everything.outcome.solved);
    CHECK(t.inconsistent() == std::nullopt);
    CHECK(disagreement(t) == "");
    int solutions = 0;
    for (std::size_t c = 1; c < t.threads.size(); ++c) {
      const auto& child = t.threads[c];
      CHECK(everything.threads[c].text().starts_with(child.text()));
      CHECK(child.awaited == (child.phase != thread_phase::cancelled));
      solutions += child.solution.has_value();
      cancelled += child.phase == thread_phase::cancelled;
    }
    CHECK(solutions == int(t.outcome.solved));
  }
  CHECK(cancelled > 50);
}

TEST_CASE("the length of a serial search stands before its prompt in bins of 512", "[solver]") {
  search_options options;
  options.kind = search_kind::sos_plus;
  options.beam_high = 5;
  options.condition_tokens = true;
  std::set<int> bins;
  for_each_demonstration(options, [&](const tree& t) {
    auto budget = std::stoi(after(t.prompt, "Token Budget: "));
    auto tokens =
        static_cast<int>(root_prompt(t.problem).size() + written_text(t.root()).size()) / 2;
    CHECK(budget % 512 == 0);
    CHECK(budget >= tokens);
    CHECK(budget - 512 < tokens);
    bins.insert(budget);
  });
  CHECK(bins.size() > 3);
}
