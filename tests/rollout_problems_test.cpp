#include "actors/tree_ids.hpp"
#include "apps/rollout_problems.hpp"
#include "solver/trace.hpp"
#include "tests/scratch_folder.hpp"
#include "trainer/rollout_labels.hpp"

#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <sqlite3.h>

namespace banyan {
namespace {

/// The prompts of this many groups, by what they are drawn from.
std::vector<std::string> prompts_of(const train_rl_options& o, std::uint32_t groups = 64) {
  const rollout_problems problems(o, {}, {});
  tree_ids ids(1);
  std::vector<std::string> all;
  for (std::uint32_t g = 0; g < groups; ++g)
    all.push_back(problems.request_for({0, g, 0, 0}, {0, g}, "", ids).prompt);
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
  o.token_budget_between = {512, 1535};
  seen.clear();
  for (const auto& prompt : prompts_of(o)) seen.insert(number_after("Token Budget: ", prompt));
  CHECK(seen == std::set<int>{512, 1024});
}

TEST_CASE("the multiples of 512 between two numbers are those and no others", "[apps]") {
  CHECK(token_budget_bins({1, 512}) == std::pair{1, 1});
  CHECK(token_budget_bins({512, 1023}) == std::pair{1, 1});
  CHECK(token_budget_bins({513, 2048}) == std::pair{2, 4});
  const auto none = token_budget_bins({600, 700});
  CHECK(none.first > none.second);
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
    const auto first = problems.request_for({3, g, 0, 0}, {3, g}, "", ids);
    const auto second = problems.request_for({3, g, 5, 1}, {3, g}, "", ids);
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

/// What a node makes of a request.
tree solved(const solve_request& request) {
  tree t;
  t.id = request.id;
  t.labels = request.labels;
  t.phase = tree_phase::done;
  t.add("/");
  return t;
}

TEST_CASE("a tree answers only what would be asked for now", "[apps]") {
  const train_rl_options o;
  const rollout_problems problems(o, {}, {});
  tree_ids ids(1);
  const rollout_key key{3, 1, 4, 1};
  const rollout_source source{3, 1};
  const auto t = solved(problems.request_for(key, source, "us", ids));
  CHECK(problems.answers(t, key, source, "us"));
  CHECK_FALSE(problems.answers(t, key, source, "others"));
  CHECK_FALSE(problems.answers(t, {3, 1, 5, 1}, source, "us"));
  CHECK_FALSE(problems.answers(t, key, {2, 7}, "us")); // a problem that returned
  CHECK_FALSE(problems.answers(tree(), key, source, "us"));
  const auto otherwise = [&](auto change) {
    train_rl_options other;
    change(other);
    return rollout_problems(other, {}, {}).answers(t, key, source, "us");
  };
  CHECK(otherwise([](auto&) {}));
  CHECK_FALSE(otherwise([](auto& x) { x.decoding.sampling.seed = 9; }));
  CHECK_FALSE(otherwise([](auto& x) { x.decoding.sampling.temperature = 0.5F; }));
  CHECK_FALSE(otherwise([](auto& x) { x.decoding.join.when = join_policy::kind::first_success; }));
  CHECK_FALSE(otherwise([](auto& x) { x.decoding.budget.max_tokens = 100; }));
  CHECK_FALSE(otherwise([](auto& x) { x.children_between = {2, 2}; }));
}

TEST_CASE("the trees of open steps are found in the store", "[apps]") {
  scratch_folder folder;
  tree_store store(folder / "trees.db", {.sync = false});
  const train_rl_options o;
  const rollout_problems problems(o, {}, {});
  tree_ids ids(1);
  auto stranger = solved({});
  stranger.id = "stranger";
  stranger.labels = {{"step", "2"}, {"banyan.step", "2"}};
  store.begin();
  for (const std::int64_t step : {1, 2, 3, 4})
    store.finish(solved(problems.request_for({step, 0, 2, 1}, {step, 0}, "us", ids)));
  store.finish(stranger);
  store.commit();
  std::vector<rollout_key> keys;
  std::string known_id;
  for (const auto& [key, t] : known_rollouts(store, 2, 3)) {
    CHECK(problems.answers(*t, key, {key.step, 0}, "us"));
    keys.push_back(key);
    known_id = t->id;
  }
  CHECK(keys == std::vector<rollout_key>{{2, 0, 2, 1}, {3, 0, 2, 1}});
  // One that cannot be read is rolled out again.
  const auto statement = "UPDATE trees SET tree = x'00ff00ff' WHERE id = '" + known_id + "'";
  sqlite3* file = nullptr;
  REQUIRE(sqlite3_open((folder / "trees.db").c_str(), &file) == SQLITE_OK);
  REQUIRE(sqlite3_exec(file, statement.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(file);
  std::size_t skipped = 0;
  CHECK(known_rollouts(store, 2, 3, [&](const damaged_tree&) { ++skipped; }).size() == 1);
  CHECK(skipped == 1);
}

TEST_CASE("unfinished rollouts are forgotten and trees of others stay", "[apps]") {
  scratch_folder folder;
  tree_store store(folder / "trees.db", {.sync = false});
  const train_rl_options o;
  tree_ids ids(1);
  const auto rollout = rollout_problems(o, {}, {}).request_for({2, 0, 2, 1}, {2, 0}, "us", ids);
  for (const auto& [name, value] : rollout.labels) CHECK(name.starts_with(reserved_labels));
  solve_request anna;
  anna.id = "anna";
  anna.labels = {
      {"member", "anna"}, {"step", "2"}, {"group", "0"}, {"attempt", "1"}, {"run", "us"}};
  store.begin();
  store.accept(anna, 1000);
  store.accept(rollout, 1000);
  store.commit();
  forget_unfinished_rollouts(store);
  CHECK(store.find("anna"));
  CHECK_FALSE(store.find(rollout.id));
}

/// A tree of step 4, begun at an epoch that `run` made, whose tokens are of these epochs.
tree sampled_at(const rollout_problems& problems, const std::string& run,
                std::vector<std::uint32_t> epochs) {
  tree_ids ids(1);
  auto t = solved(problems.request_for({4, 1, 0, 0}, {4, 1}, run, ids));
  t.weights_epoch = epochs.front();
  t.threads[0].segments.emplace_back().epochs = std::move(epochs);
  return t;
}

TEST_CASE("a tree is taken over where it was sampled with the weights of its step", "[apps]") {
  train_rl_options o;
  o.rl.staleness = 1;
  const rollout_problems problems(o, {}, {});
  weights_at_hand now{.oldest = 3, .newest = 4};
  now.makers.begin(0, "first");
  now.makers.begin(4, "second");
  const auto fits = [&](const std::string& run, std::vector<std::uint32_t> epochs) {
    return problems.fits(sampled_at(problems, run, std::move(epochs)), {4, 1, 0, 0}, {4, 1}, now);
  };
  CHECK(fits("first", {3, 3}));
  CHECK_FALSE(fits("second", {3, 3}));
  CHECK_FALSE(fits("first", {2, 2}));
  CHECK_FALSE(fits("first", {3, 4}));
  now.oldest = 4; // the weights before are not there any more
  CHECK(fits("second", {4, 4}));
}

TEST_CASE("a tree that went on is taken over where whoever began it made the newest weights",
          "[apps]") {
  train_rl_options o;
  o.rl.staleness = 1;
  o.policy = in_flight::go_on;
  const rollout_problems problems(o, {}, {});
  weights_at_hand now{.oldest = 3, .newest = 4};
  now.makers.begin(0, "first");
  const auto fits = [&](const std::string& run, std::vector<std::uint32_t> epochs) {
    return problems.fits(sampled_at(problems, run, std::move(epochs)), {4, 1, 0, 0}, {4, 1}, now);
  };
  CHECK(fits("first", {3, 4}));
  CHECK_FALSE(fits("first", {3, 5})); // with weights that were lost
  // A run that went on from 3 has made 4 anew: trees from before it may have seen another 4.
  now.makers.begin(4, "second");
  CHECK_FALSE(fits("first", {3, 4}));
  CHECK(fits("second", {4, 4}));
}

} // namespace
} // namespace banyan
