#include "trainer/rollout_plan.hpp"

#include "tests/rolled_out.hpp"
#include "trainer/weight_makers.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("a step is complete when all trees of its groups are there", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  CHECK(take_all(plan).size() == 4);
  finish_mixed(plan, 0, 1);
  CHECK_FALSE(plan.complete(0));
  finish_mixed(plan, 0, 0);
  REQUIRE(plan.complete(0));
  const auto batch = plan.take(0);
  REQUIRE(batch.groups.size() == 2);
  CHECK(batch.groups[0].index == 0); // in the order of their problems
  CHECK(batch.groups[0].rewards == std::vector<double>{1, 0});
  CHECK(batch.figures.problems() == 4);
  CHECK(batch.reward_sum == 2);
}

TEST_CASE("a group whose rewards are equal is made up for by another problem", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  take_all(plan);
  plan.finish({0, 0, 0, 0}, result(true));
  plan.finish({0, 0, 1, 0}, result(true));
  const auto fresh = take_all(plan);
  REQUIRE(fresh.size() == 2);
  CHECK(fresh[0].group == 2);
  finish_mixed(plan, 0, 1);
  finish_mixed(plan, 0, 2);
  const auto batch = plan.take(0);
  CHECK(batch.groups.size() == 2);
  CHECK(batch.counts.all_solved == 1);
  CHECK(batch.figures.problems() == 6); // figures are over all trees
}

TEST_CASE("without dynamic sampling equal groups are kept", "[trainer]") {
  auto o = small();
  o.dynamic_sampling = false;
  rollout_plan plan(o);
  plan.open(0);
  for (const auto& key : take_all(plan)) plan.finish(key, result(true));
  REQUIRE(plan.complete(0));
  CHECK(plan.take(0).groups.size() == 2);
}

TEST_CASE("problems that all teach nothing end a step at its limit", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  for (std::size_t rounds = 0; !plan.complete(0) && rounds < 10; ++rounds)
    for (const auto& key : take_all(plan)) plan.finish(key, result(false));
  REQUIRE(plan.complete(0));
  const auto batch = plan.take(0);
  CHECK(batch.groups.empty());
  CHECK(batch.counts.groups == 6);
  CHECK(batch.counts.none_solved == 6);
}

TEST_CASE("what a step learns from does not depend on the order in which trees end", "[trainer]") {
  // Whether a group teaches something is a function of its place.
  const auto outcome = [](const rollout_key& k) {
    return result(k.group % 3 == 0 || (k.group % 3 == 1 && k.member == 0));
  };
  const auto groups_of = [&](bool backwards) {
    auto o = small();
    o.prompts = 4;
    rollout_plan plan(o);
    plan.open(0);
    while (!plan.complete(0)) {
      auto keys = take_all(plan);
      if (backwards) std::ranges::reverse(keys);
      for (const auto& key : keys) plan.finish(key, outcome(key));
    }
    std::vector<std::uint32_t> indices;
    for (const auto& g : plan.take(0).groups) indices.push_back(g.index);
    return indices;
  };
  CHECK(groups_of(false) == std::vector<std::uint32_t>{1, 4, 7, 10});
  CHECK(groups_of(true) == groups_of(false));
}

TEST_CASE("a tree that the machine failed is rolled out again and never scored", "[trainer]") {
  for (const auto failure :
       {errc::pool_lost, errc::pool_full, errc::child_lost, errc::deadline, errc::not_stored}) {
    rollout_plan plan(small());
    plan.open(0);
    take_all(plan);
    plan.finish({0, 0, 0, 0}, result(false, failure));
    const auto again = take_all(plan);
    REQUIRE(again == std::vector<rollout_key>{{0, 0, 0, 1}});
    plan.finish(again[0], result(true));
    plan.finish({0, 0, 1, 0}, result(false));
    finish_mixed(plan, 0, 1);
    const auto batch = plan.take(0);
    CHECK(batch.groups[0].rewards == std::vector<double>{1, 0});
    CHECK(batch.counts.repeated == 1);
  }
}

TEST_CASE("a child that the machine lost makes its tree count as failed by the machine",
          "[trainer]") {
  tree t = *result(true);
  CHECK_FALSE(failed_by_machine(t));
  t.add("/0").failure = errc::no_solution;
  CHECK_FALSE(failed_by_machine(t));
  t.add("/1").failure = errc::child_lost;
  CHECK(failed_by_machine(t));
}

TEST_CASE("a hung tree is replaced when its time is over", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  take_all(plan, 100);
  plan.expire(109);
  CHECK(plan.take_useless().empty());
  plan.finish({0, 0, 1, 0}, result(false));
  finish_mixed(plan, 0, 1);
  plan.expire(111);
  CHECK(plan.take_useless() == std::vector<std::string>{"0.0.0.0"});
  REQUIRE(take_all(plan, 111) == std::vector<rollout_key>{{0, 0, 0, 1}});
  plan.finish({0, 0, 0, 0}, result(false)); // too late: it counts no more
  CHECK_FALSE(plan.complete(0));
  plan.finish({0, 0, 0, 1}, result(true));
  REQUIRE(plan.complete(0));
  CHECK(plan.take(0).groups[0].rewards == std::vector<double>{1, 0});
}

TEST_CASE("a group that uses up its attempts is dropped by difficulty and comes back",
          "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  take_all(plan);
  plan.finish({0, 0, 1, 0}, result(false)); // of those that are there, none solved it: hard
  plan.finish({0, 0, 0, 0}, nullptr);
  take_all(plan);
  plan.finish({0, 0, 0, 1}, nullptr); // the second and last attempt
  CHECK(take_all(plan).front().group == 2);
  finish_mixed(plan, 0, 1);
  finish_mixed(plan, 0, 2);
  REQUIRE(plan.complete(0));
  const auto batch = plan.take(0);
  CHECK(batch.counts.dropped == 1);
  CHECK(batch.counts.dropped_by_difficulty[static_cast<std::size_t>(difficulty::hard)] == 1);
  CHECK(batch.groups.size() == 2);
  REQUIRE(batch.places.waiting.size() == 1);
  plan.open(1);
  const auto first = take_all(plan).front();
  CHECK(first.step == 1);
  CHECK(plan.source_of(first).step == 0);
  CHECK(plan.source_of(first).group == 0);
  CHECK(plan.source_of({1, 1, 0, 0}).step == 1);
}

TEST_CASE("trees of older steps are started first", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  for (const auto& key : take_all(plan)) {
    if (key.group == 1) plan.open(key.step + 1 + key.member);
    plan.finish(key, result(true));
  }
  REQUIRE(plan.due());
  CHECK(plan.take_due().step == 0); // made up for, though steps 1 and 2 were opened before
}

TEST_CASE("a group of one is refused", "[trainer]") {
  auto o = small();
  o.group = 1;
  CHECK_THROWS_AS(rollout_plan(o), std::invalid_argument);
}

TEST_CASE("weights that were made twice have two makers", "[trainer]") {
  weight_makers makers;
  makers.begin(0, "first");
  makers.begin(6, "second"); // resumed at step 5
  makers.begin(4, "third");  // and once more from step 3
  CHECK(makers.of(0) == "first");
  CHECK(makers.of(3) == "first");
  CHECK(makers.of(4) == "third");
  CHECK(makers.of(9) == "third");
}

TEST_CASE("nothing more is rolled out for a group that was dropped", "[trainer]") {
  auto o = small();
  o.group = 3;
  o.max_attempts = 1;
  rollout_plan plan(o);
  plan.open(0);
  for (const auto* id : {"a", "b"}) plan.started(plan.take_due(), id, 0); // the third is due
  plan.finish({0, 0, 0, 0}, nullptr);
  CHECK(plan.take_useless() == std::vector<std::string>{"b"});
  CHECK(plan.take_useless().empty());
  CHECK(plan.num_running() == 0);
  for (const auto& key : take_all(plan)) CHECK(key.group != 0);
}

TEST_CASE("trees of a group that is dropped for a late one are late themselves no more",
          "[trainer]") {
  rollout_plan plan(with_one_attempt());
  plan.open(0);
  take_all(plan);
  plan.expire(1e6);
  auto useless = plan.take_useless();
  std::ranges::sort(useless);
  CHECK(useless == std::vector<std::string>{"0.0.0.0", "0.0.1.0", "0.1.0.0", "0.1.1.0"});
  CHECK(plan.num_running() == 0);
}

TEST_CASE("a tree that somebody cancelled is rolled out again and never scored", "[trainer]") {
  auto cancelled = std::make_shared<tree>(*result(true));
  cancelled->phase = tree_phase::cancelled;
  rollout_plan plan(small());
  plan.restore({0, 1, 0, 0}, cancelled);
  plan.open(0);
  CHECK(take_all(plan).size() == 4);
  plan.finish({0, 0, 0, 0}, cancelled);
  CHECK(take_all(plan) == std::vector<rollout_key>{{0, 0, 0, 1}});
}

TEST_CASE("a tree of which somebody cancelled a thread is rolled out again", "[trainer]") {
  auto t = *result(false);
  auto& child = t.add("/0");
  child.phase = thread_phase::cancelled;
  child.failure = errc::cancelled;
  rollout_plan plan(small());
  plan.restore({0, 1, 0, 0}, std::make_shared<tree>(t));
  plan.open(0);
  CHECK(take_all(plan).size() == 4);
  plan.finish({0, 0, 0, 0}, std::make_shared<tree>(t));
  CHECK(take_all(plan) == std::vector<rollout_key>{{0, 0, 0, 1}});
}

TEST_CASE("a tree of which a join cancelled what it did without counts", "[trainer]") {
  auto t = *result(false);
  for (const auto* path : {"/0", "/0/0"}) {
    auto& loser = t.add(path);
    loser.phase = thread_phase::cancelled;
    loser.failure = errc::cancelled;
  }
  t.find("/0")->awaited = false;
  rollout_plan plan(small());
  plan.open(0);
  CHECK(take_all(plan).size() == 4);
  plan.finish({0, 0, 0, 0}, std::make_shared<tree>(t));
  CHECK(take_all(plan).empty());
}

TEST_CASE("a dropped group is as hard as those of its trees that are there say", "[trainer]") {
  const auto dropped_as = [](std::uint32_t right, std::uint32_t wrong) {
    auto o = with_one_attempt();
    o.prompts = 1;
    o.max_groups = 1;
    o.group = right + wrong + 1;
    rollout_plan plan(o);
    plan.open(0);
    for (std::uint32_t i = 0; i < right + wrong; ++i) plan.finish({0, 0, i, 0}, result(i < right));
    plan.finish({0, 0, right + wrong, 0}, nullptr);
    const auto counts = plan.take(0).counts.dropped_by_difficulty;
    return static_cast<difficulty>(std::ranges::find(counts, 1U) - counts.begin());
  };
  CHECK(dropped_as(0, 3) == difficulty::hard);
  CHECK(dropped_as(1, 2) == difficulty::medium);
  CHECK(dropped_as(2, 1) == difficulty::easy);
  CHECK(dropped_as(3, 0) == difficulty::easy);
  auto o = with_one_attempt();
  o.prompts = o.max_groups = 1;
  rollout_plan plan(o);
  plan.open(0);
  plan.finish({0, 0, 0, 0}, nullptr);
  CHECK(plan.take(0).counts.dropped_by_difficulty[3] == 1); // nothing is known of it
}

TEST_CASE("trees that do not count are counted by what was wrong with them", "[trainer]") {
  auto o = small();
  o.max_attempts = 9;
  rollout_plan plan(o);
  plan.open(0);
  take_all(plan);
  auto lost_child = std::make_shared<tree>(*result(true));
  lost_child->add("/0").failure = errc::child_lost;
  plan.finish({0, 0, 0, 0}, lost_child);
  plan.finish({0, 0, 1, 0}, nullptr);
  plan.finish({0, 1, 0, 0}, result(false, errc::not_stored));
  plan.finish({0, 1, 1, 0}, result(false));
  take_all(plan, 1);
  plan.expire(1e6);
  CHECK(plan.take_useless().size() == 3);
  take_all(plan, 2e6);
  for (const rollout_key key : {rollout_key{0, 0, 0, 2}, {0, 0, 1, 2}, {0, 1, 0, 2}})
    plan.finish(key, result(key.member == 0));
  REQUIRE(plan.complete(0));
  const auto counts = plan.take(0).counts;
  CHECK(counts.repeated == 6);
  CHECK(
      counts.repeated_by_failure
      == std::map<errc, std::uint64_t>{
          {errc::child_lost, 1}, {errc::pool_lost, 1}, {errc::not_stored, 1}, {errc::deadline, 3}});
}
