#include "actors/tree_ids.hpp"
#include "apps/rollout_problems.hpp"
#include "solver/trace.hpp"

#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// The prompts of this many groups, by what they are drawn from.
std::vector<std::string> prompts_of(const train_rl_options& o, std::uint32_t groups = 64) {
  const rollout_problems problems(o, {}, {});
  tree_ids ids(1);
  std::vector<std::string> all;
  for (std::uint32_t g = 0; g < groups; ++g)
    all.push_back(problems.request_for({0, g, 0, 0}, {0, g}, ids).prompt);
  return all;
}

/// N of "<what>: N Moving …"; -1 where the prompt begins with something else.
int number_after(const std::string& what, const std::string& prompt) {
  return prompt.starts_with(what) ? std::stoi(prompt.substr(what.size())) : -1;
}

TEST_CASE("a drawn token budget is a multiple of 512 within its limits", "[apps]") {
  train_rl_options o;
  o.token_budget_between = {600, 2048};
  std::set<int> seen;
  for (const auto& prompt : prompts_of(o)) seen.insert(number_after("Token Budget: ", prompt));
  CHECK(seen == std::set<int>{1024, 1536, 2048});
}

TEST_CASE("the trees of a group have one condition and others another", "[apps]") {
  train_rl_options o;
  o.children_between = {0, 9};
  o.condition_share = 0.5;
  const rollout_problems problems(o, {}, {});
  tree_ids ids(1);
  int conditioned = 0;
  std::set<int> asked;
  for (std::uint32_t g = 0; g < 200; ++g) {
    const auto first = problems.request_for({3, g, 0, 0}, {3, g}, ids);
    const auto second = problems.request_for({3, g, 5, 1}, {3, g}, ids);
    CHECK(first.prompt == second.prompt);
    CHECK(first.sampling.seed != second.sampling.seed);
    CHECK(first.id != second.id);
    const auto children = number_after("Sub Call Budget: ", first.prompt);
    conditioned += children >= 0;
    asked.insert(children);
  }
  CHECK(conditioned > 60);
  CHECK(conditioned < 140);
  CHECK(asked.size() == 11); // 0 to 9, and none
}

TEST_CASE("problems that are held out never come up", "[apps]") {
  train_rl_options o;
  o.num_numbers = 2;
  std::set<std::string> all;
  problem_set held_out;
  const rollout_problems free(o, {}, {});
  for (std::uint32_t g = 0; g < 50; ++g) held_out.insert(canonical(free.problem_of({0, g})));
  const rollout_problems kept(o, {}, held_out);
  for (std::uint32_t g = 0; g < 500; ++g)
    CHECK(!held_out.contains(canonical(kept.problem_of({0, g}))));
}

} // namespace
} // namespace banyan
