#include "tests/rolled_out.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

using namespace banyan;

// Problems whose groups are dropped, since the machine fails their trees.

namespace {

/// Every attempt at one tree of a group fails.
void drop(rollout_plan& plan, std::int64_t step, std::uint32_t group) {
  for (std::uint32_t attempt : {0u, 1u}) {
    plan.finish({step, group, 0, attempt}, result(false, errc::pool_lost));
    take_all(plan);
  }
}

void finish_others(rollout_plan& plan, std::int64_t step) {
  for (std::uint32_t group : {1u, 2u}) finish_mixed(plan, step, group);
}

} // namespace

TEST_CASE("a problem that is always late is asked for once a step, and given up in the end",
          "[trainer]") {
  rollout_plan plan(small());
  for (std::int64_t step : {0, 1, 2}) {
    CAPTURE(step);
    plan.open(step);
    take_all(plan);
    CHECK(plan.source_of({step, 0, 0, 0}) == rollout_source{0, 0});
    drop(plan, step, 0);
    CHECK(plan.source_of({step, 2, 0, 0}) == rollout_source{step, 2}); // a problem of its own
    finish_others(plan, step);
    REQUIRE(plan.complete(step));
    const auto batch = plan.take(step);
    CHECK(batch.counts.groups == 3);
    CHECK(batch.counts.dropped == 1);
    CHECK(batch.counts.given_up == (step == 2));
    CHECK(batch.places.waiting.size() == (step < 2));
  }
  plan.open(3);
  CHECK(plan.source_of({3, 0, 0, 0}) == rollout_source{3, 0});
}

TEST_CASE("a step that was open already does not take back what it dropped itself", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  plan.open(1);
  take_all(plan);
  drop(plan, 1, 0);
  CHECK(plan.source_of({1, 2, 0, 0}) == rollout_source{1, 2});
  drop(plan, 0, 0);
  CHECK(plan.source_of({0, 2, 0, 0}) == rollout_source{0, 2}); // nor what a later one dropped
  drop(plan, 1, 1);                                            // after step 0 dropped one
  CHECK(plan.source_of({1, 3, 0, 0}) == rollout_source{0, 0});
}

TEST_CASE("a problem that is solved at last is as good as any other", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  take_all(plan);
  drop(plan, 0, 0);
  finish_others(plan, 0);
  plan.take(0);
  plan.open(1);
  take_all(plan);
  for (std::uint32_t group : {0u, 1u}) finish_mixed(plan, 1, group);
  CHECK(plan.take(1).places.drops.empty());
}

TEST_CASE("how often a problem was dropped outlives a restart", "[trainer]") {
  problem_places places;
  {
    rollout_plan plan(small());
    plan.open(0);
    plan.open(1);
    take_all(plan);
    drop(plan, 0, 0);
    drop(plan, 1, 1); // in a step that begins anew
    finish_others(plan, 0);
    places = plan.take(0).places;
  }
  CHECK(places.drops == std::map<rollout_source, std::uint32_t>{{{0, 0}, 1}});
  for (std::int64_t step : {1, 2}) {
    rollout_plan plan(small());
    plan.restore(places);
    plan.open(step);
    take_all(plan);
    const std::uint32_t group = step == 1 ? 2 : 1; // step 1 had its first two already
    if (step == 1) drop(plan, step, 1);            // makes room, and comes first in step 2
    REQUIRE(plan.source_of({step, group, 0, 0}) == rollout_source{0, 0});
    drop(plan, step, group);
    for (std::uint32_t other = 0; other < 5; ++other) finish_mixed(plan, step, other);
    REQUIRE(plan.complete(step));
    const auto batch = plan.take(step);
    CHECK(batch.counts.given_up == (step == 2));
    places = batch.places;
  }
  CHECK_FALSE(places.drops.contains({0, 0}));
}

TEST_CASE("what a step learns from does not depend on when its trees come back", "[trainer]") {
  const auto outcome = [](const rollout_key& k) {
    return result(k.group % 3 == 0 || (k.group % 3 == 1 && k.member == 0));
  };
  const auto learnt = [&](unsigned seed) {
    std::mt19937 random(seed);
    auto o = small();
    o.prompts = 4;
    rollout_plan plan(o);
    std::vector<std::uint32_t> indices;
    std::vector<rollout_key> running;
    for (std::int64_t step = 0; step < 3; ++step) {
      plan.open(step);
      while (!plan.complete(step)) {
        for (const auto& key : take_all(plan)) running.push_back(key);
        std::ranges::shuffle(running, random);
        for (std::size_t i = 1 + random() % 3; i > 0 && !running.empty(); --i) {
          const auto key = running.back();
          running.pop_back();
          if (random() % 9 == 0 && key.attempt == 0)
            plan.finish(key, nullptr);
          else
            plan.finish(key, outcome(key));
        }
      }
      const auto batch = plan.take(step);
      CHECK(batch.counts.groups == 11); // up to the last one that teaches something
      for (const auto& g : batch.groups) indices.push_back(g.index);
    }
    return indices;
  };
  const std::vector<std::uint32_t> expected{1, 4, 7, 10, 1, 4, 7, 10, 1, 4, 7, 10};
  for (unsigned seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    CHECK(learnt(seed) == expected);
  }
}
