#include "solver/heap.hpp"
#include "tests/searched.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>

using namespace banyan;

// ---- the text, line by line

TEST_CASE("a parallel search reads as in the published data", "[solver]") {
  auto t = demonstrate({{42, 61, 66}, 47}, in_generation_order(search_kind::apr, 2, 1), 0);
  CHECK(all_text(t) == R"(prompt|Moving to Node #0
Current State: 47:[42, 61, 66], Operations: []
written|Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]
Generated Node #0,0: 47:[66, 19] Operation: 61-42=19
Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]
Generated Node #0,1: 47:[61, 24] Operation: 66-42=24
spawn|<Calling Sub Searches>
<Start Sub Search 0 at level 1> Moving to Node #0,0
<Start Sub Search 1 at level 1> Moving to Node #0,1
<End Calling Sub Searches>
joined|<Sub Searches>
<Goal Reached in Sub Search 0 at level 1 at Node #0,0>
Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
<No Solution in Sub Search 1 at level 1 at Node #0,1>
<End Sub Searches>
written|47,47 equal: Goal Reached
Moving to Node #0
Current State: 47:[42, 61, 66], Operations: []
Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]
Generated Node #0,0: 47:[66, 19] Operation: 61-42=19
Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
prompt|Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
written|Exploring Operation: 66+19=85, Resulting Numbers: [85]
85,47 unequal: No Solution
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
prompt|Moving to Node #0,1
Current State: 47:[61, 24], Operations: ['66-42=24']
written|Exploring Operation: 61+24=85, Resulting Numbers: [85]
85,47 unequal: No Solution
Exploring Operation: 61-24=37, Resulting Numbers: [37]
37,47 unequal: No Solution
No solution found.
)");
}

TEST_CASE("a best first search visits the better state first and restates its path", "[solver]") {
  auto t = demonstrate({{42, 61, 66}, 47}, in_generation_order(search_kind::sos_bfs, 2, 1), 0);
  CHECK(written_text(t.root()) == R"(Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]
Generated Node #0,0: 47:[66, 19] Operation: 61-42=19
Exploring Operation: 66-42=24, Resulting Numbers: [61, 24]
Generated Node #0,1: 47:[61, 24] Operation: 66-42=24
Moving to Node #0,1
Current State: 47:[61, 24], Operations: ['66-42=24']
Exploring Operation: 61+24=85, Resulting Numbers: [85]
85,47 unequal: No Solution
Exploring Operation: 61-24=37, Resulting Numbers: [37]
37,47 unequal: No Solution
Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
Exploring Operation: 66+19=85, Resulting Numbers: [85]
85,47 unequal: No Solution
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
Moving to Node #0
Current State: 47:[42, 61, 66], Operations: []
Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]
Generated Node #0,0: 47:[66, 19] Operation: 61-42=19
Moving to Node #0,0
Current State: 47:[66, 19], Operations: ['61-42=19']
Exploring Operation: 66-19=47, Resulting Numbers: [47]
47,47 equal: Goal Reached
)");
}

TEST_CASE("a nested search marks where each search within it begins and ends", "[solver]") {
  auto t = demonstrate({{3, 8, 9}, 10}, in_generation_order(search_kind::sos_plus, 2, 1), 0);
  CHECK(written_text(t.root()) == R"(Exploring Operation: 3+8=11, Resulting Numbers: [9, 11]
Generated Node #0,0: 10:[9, 11] Operation: 3+8=11
Exploring Operation: 8-3=5, Resulting Numbers: [9, 5]
Generated Node #0,1: 10:[9, 5] Operation: 8-3=5
Start Sub Search at level 1: Moving to Node #0,0
Current State: 10:[9, 11], Operations: ['3+8=11']
Exploring Operation: 9+11=20, Resulting Numbers: [20]
20,10 unequal: No Solution
Exploring Operation: 11-9=2, Resulting Numbers: [2]
2,10 unequal: No Solution
No solution found.
Exit Sub Search at level 1
No solution found in sub search
Start Sub Search at level 1: Moving to Node #0,1
Current State: 10:[9, 5], Operations: ['8-3=5']
Exploring Operation: 9+5=14, Resulting Numbers: [14]
14,10 unequal: No Solution
Exploring Operation: 9-5=4, Resulting Numbers: [4]
4,10 unequal: No Solution
No solution found.
Exit Sub Search at level 1
No solution found in sub search
No solution found.
)");
}

TEST_CASE("a nested search that succeeds leaves its level and keeps the restatement as solution",
          "[solver]") {
  auto t = demonstrate({{42, 61, 66}, 47}, in_generation_order(search_kind::sos_plus, 2, 1), 0);
  auto text = written_text(t.root());
  CHECK(text.ends_with(*t.root().solution + "Exit Sub Search at level 1\n"));
  CHECK(t.root().solution->starts_with("Moving to Node #0\n"));
  CHECK(t.outcome.solved);
}

TEST_CASE("a depth first search enters each state at once and comes back to its parent",
          "[solver]") {
  auto t = demonstrate({{3, 8, 9}, 10}, in_generation_order(search_kind::sos_dfs, 2, 1), 0);
  CHECK(written_text(t.root()) == R"(Exploring Operation: 3+8=11, Resulting Numbers: [9, 11]
Generated Node #0,0: 10:[9, 11] Operation: 3+8=11
Moving to Node #0,0
Current State: 10:[9, 11], Operations: ['3+8=11']
Exploring Operation: 9+11=20, Resulting Numbers: [20]
20,10 unequal: No Solution
Moving to Node #0,0
Current State: 10:[9, 11], Operations: ['3+8=11']
Exploring Operation: 11-9=2, Resulting Numbers: [2]
2,10 unequal: No Solution
Moving to Node #0
Current State: 10:[3, 8, 9], Operations: []
Exploring Operation: 8-3=5, Resulting Numbers: [9, 5]
Generated Node #0,1: 10:[9, 5] Operation: 8-3=5
Moving to Node #0,1
Current State: 10:[9, 5], Operations: ['8-3=5']
Exploring Operation: 9+5=14, Resulting Numbers: [14]
14,10 unequal: No Solution
Moving to Node #0,1
Current State: 10:[9, 5], Operations: ['8-3=5']
Exploring Operation: 9-5=4, Resulting Numbers: [4]
4,10 unequal: No Solution
No solution found.
)");
}

// ---- the grammar reads what the searches write

TEST_CASE("the grammar reads every demonstration as it was meant", "[solver]") {
  for (auto kind : all_kinds) {
    search_options options;
    options.kind = kind;
    options.spawn_probability = 0.6;
    for_each_demonstration(options, [](const tree& t) { CHECK(disagreement(t) == ""); });
  }
}

TEST_CASE("the grammar reads demonstrations of every size and condition", "[solver]") {
  for (int num_numbers : {2, 3, 5}) {
    search_options options = fixed_beams(3, 4);
    options.spawn_probability = 0.5;
    options.condition_children = options.condition_tokens = true;
    auto agrees = [](const tree& t) { CHECK(disagreement(t) == ""); };
    for_each_demonstration(options, agrees, num_numbers, 25);
    options.kind = search_kind::sos_plus;
    for_each_demonstration(options, agrees, num_numbers, 25);
  }
}

TEST_CASE("a demonstration is a consistent finished tree", "[solver]") {
  for (auto kind : all_kinds) {
    search_options options;
    options.kind = kind;
    options.spawn_probability = 0.6;
    for_each_demonstration(options, [](const tree& t) {
      CHECK(t.inconsistent() == std::nullopt);
      CHECK(t.phase == tree_phase::done);
      CHECK(t.failure == (t.outcome.solved ? errc::none : errc::no_solution));
      CHECK(t.outcome.claimed == t.root().solution.has_value());
      CHECK(t.prompt == t.root().segments[0].text);
      for (auto& thread : t.threads) {
        CHECK(thread.phase == thread_phase::done);
        CHECK(thread.solution.has_value() == (thread.failure == errc::none));
      }
    });
  }
}

TEST_CASE("what a search claims the verifier confirms", "[solver]") {
  for (auto kind : all_kinds) {
    search_options options;
    options.kind = kind;
    int solved = 0, missed = 0;
    for_each_demonstration(options, [&](const tree& t) {
      CHECK(t.outcome.claimed == t.outcome.solved);
      ++(t.outcome.solved ? solved : missed);
    });
    CHECK(solved > 0);
    CHECK(missed > 0);
  }
}
