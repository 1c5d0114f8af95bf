#include "trainer/rl_warnings.hpp"

#include "solver/tree.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

tree ended(bool solved, errc failure = errc::none) {
  tree t;
  t.outcome.solved = solved;
  t.failure = failure;
  return t;
}

TEST_CASE("a step without a tree says what its trees failed of", "[trainer]") {
  rollout_counts counts;
  counts.repeated_by_failure = {{errc::deadline, 5}};
  CHECK(why_none(counts).trouble == "all 5 trees were late");
  CHECK(why_none(counts).cure == remedy::more_time);
  counts.repeated_by_failure[errc::child_lost] = 2;
  CHECK(why_none(counts).trouble == "7 trees failed: 5 with deadline, 2 with child_lost");
  CHECK_FALSE(why_none(counts).cure);
}

TEST_CASE("where nothing is learnt the remedy is for what most trees failed of", "[trainer]") {
  const auto cure = [](int solved, int others, errc failure) {
    evaluation trees;
    for (int i = 0; i < solved; ++i) trees.add(ended(true));
    for (int i = 0; i < others; ++i) trees.add(ended(false, failure));
    return why_alike(trees, trees.accuracy()).cure;
  };
  CHECK(cure(0, 4, errc::no_solution) == remedy::easier_problems);
  CHECK(cure(4, 0, errc::none) == remedy::harder_problems);
  CHECK(cure(1, 3, errc::context_full) == remedy::more_context);
  CHECK(cure(1, 3, errc::budget_spent) == remedy::larger_budget);
  CHECK(cure(2, 2, errc::context_full) == remedy::easier_problems);
  evaluation right;
  right.add(ended(true));
  CHECK(why_alike(right, 0).cure == remedy::cheaper_trees);
}

TEST_CASE("a voice without words tells the trouble alone", "[trainer]") {
  run_voice silent;
  silent.say("nobody listens");
  CHECK(silent.with("it is slow", remedy::more_time) == "it is slow");
  silent.words = [](remedy) { return std::string("wait"); };
  CHECK(silent.with("it is slow", remedy::more_time) == "it is slow; wait");
}

} // namespace
} // namespace banyan
