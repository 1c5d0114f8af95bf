#include "tests/rolled_out.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

using namespace banyan;

// Trees that start before it is known whether they are needed (`--make-up ahead`).

namespace {

rollout_options ahead() {
  auto o = small();
  o.ahead = true;
  return o;
}

std::vector<rollout_key> take_ahead(rollout_plan& plan) {
  std::vector<rollout_key> keys;
  while (const auto key = plan.take_ahead()) {
    keys.push_back(*key);
    plan.started(*key, 0);
  }
  return keys;
}

std::vector<std::uint32_t> groups_of(const std::vector<rollout_key>& keys) {
  std::vector<std::uint32_t> groups;
  for (const auto& key : keys)
    if (groups.empty() || groups.back() != key.group) groups.push_back(key.group);
  return groups;
}

} // namespace

TEST_CASE("nothing starts ahead unless that is asked for", "[trainer]") {
  rollout_plan plan(small());
  plan.open(0);
  take_all(plan);
  CHECK_FALSE(plan.take_ahead());
}

TEST_CASE("as many groups start ahead as are likely to be needed", "[trainer]") {
  rollout_plan plan(ahead());
  plan.open(0);
  CHECK(take_all(plan).size() == 4);
  CHECK(groups_of(take_ahead(plan))
        == std::vector<std::uint32_t>{2, 3}); // half may teach something
  for (std::uint32_t group : {0u, 1u}) finish_mixed(plan, 0, group);
  REQUIRE(plan.complete(0));
  plan.take(0);
  plan.open(1);
  take_all(plan);
  CHECK(groups_of(take_ahead(plan)) == std::vector<std::uint32_t>{2}); // three of four, then
}

TEST_CASE("no more groups start ahead than a step may have", "[trainer]") {
  auto o = ahead();
  o.max_groups = 1;
  rollout_plan plan(o);
  plan.open(0);
  take_all(plan);
  CHECK_FALSE(plan.take_ahead());
}

TEST_CASE("a tree that was started ahead is not started again", "[trainer]") {
  rollout_plan plan(ahead());
  plan.open(0);
  take_all(plan);
  const auto early = take_ahead(plan);
  plan.finish(early[0], result(true)); // of group 2: one is back, the other runs
  plan.finish({0, 0, 0, 0}, result(false));
  plan.finish({0, 0, 1, 0}, result(false)); // group 2 is asked for
  CHECK_FALSE(plan.due());
  plan.finish(early[1], result(false));
  finish_mixed(plan, 0, 1);
  REQUIRE(plan.complete(0));
  const auto batch = plan.take(0);
  REQUIRE(batch.groups.size() == 2);
  CHECK(batch.groups[1].index == 2);
  CHECK(batch.groups[1].rewards == std::vector<double>{1, 0});
  CHECK(batch.counts.groups == 3); // group 3 was never asked for
  CHECK(batch.figures.problems() == 6);
}

TEST_CASE("a tree that was lost ahead is due when its group is asked for", "[trainer]") {
  rollout_plan plan(ahead());
  plan.open(0);
  take_all(plan);
  const auto early = take_ahead(plan);
  plan.finish(early[0], nullptr);
  CHECK_FALSE(plan.due());
  plan.finish({0, 0, 0, 0}, result(true));
  plan.finish({0, 0, 1, 0}, result(true));
  CHECK(take_all(plan) == std::vector<rollout_key>{early[0]});
}

TEST_CASE("what was started ahead of a complete step is cancelled", "[trainer]") {
  rollout_plan plan(ahead());
  plan.open(0);
  take_all(plan);
  const auto early = take_ahead(plan);
  plan.finish(early[0], result(true));
  finish_mixed(plan, 0, 0);
  CHECK(plan.take_useless().empty());
  finish_mixed(plan, 0, 1);
  CHECK(plan.take_useless() == std::vector<rollout_key>(early.begin() + 1, early.end()));
  CHECK_FALSE(plan.take_ahead());
  CHECK(plan.take(0).counts.groups == 2);
}

TEST_CASE("a dropped problem that comes back is not taken for what was started ahead",
          "[trainer]") {
  rollout_plan plan(ahead());
  const auto drop = [&](std::int64_t step, std::uint32_t group) {
    for (std::uint32_t attempt : {0u, 1u}) {
      plan.finish({step, group, 0, attempt}, result(false, errc::pool_lost));
      take_all(plan);
    }
  };
  plan.open(0);
  take_all(plan);
  drop(0, 0);
  finish_mixed(plan, 0, 1);
  finish_mixed(plan, 0, 2);
  plan.take(0);
  plan.open(1); // group 0 has the problem that was dropped
  REQUIRE(plan.source_of({1, 0, 0, 0}) == rollout_source{0, 0});
  take_all(plan);
  const auto early = take_ahead(plan);
  REQUIRE(early.front() == rollout_key{1, 2, 0, 0});
  plan.take_useless();
  plan.finish({1, 0, 0, 0}, result(false, errc::pool_lost));
  take_all(plan);
  plan.finish({1, 0, 0, 1}, result(false, errc::pool_lost)); // dropped again, and asked for at once
  CHECK(plan.source_of({1, 2, 0, 0}) == rollout_source{0, 0});
  const auto useless = plan.take_useless();
  CHECK(std::ranges::find(useless, early.front()) != useless.end());
  CHECK(take_all(plan) == std::vector<rollout_key>{{1, 2, 0, 1}, {1, 2, 1, 1}});
  plan.finish(early[0], result(true)); // of another problem
  plan.finish(early[1], result(false));
  finish_mixed(plan, 1, 1);
  CHECK_FALSE(plan.complete(1));
  plan.finish({1, 2, 0, 1}, result(false));
  plan.finish({1, 2, 1, 1}, result(true));
  REQUIRE(plan.complete(1));
  CHECK(plan.take(1).groups[1].rewards == std::vector<double>{0, 1});
}

TEST_CASE("what a step learns from does not depend on what was started ahead", "[trainer]") {
  const auto outcome = [](const rollout_key& k) {
    return result(k.group % 3 == 0 || (k.group % 3 == 1 && k.member == 0));
  };
  const auto learnt = [&](bool is_ahead, unsigned seed) {
    std::mt19937 random(seed);
    auto o = small();
    o.prompts = 4;
    o.ahead = is_ahead;
    rollout_plan plan(o);
    std::vector<std::uint32_t> indices;
    std::vector<rollout_key> running;
    for (std::int64_t step = 0; step < 3; ++step) {
      plan.open(step);
      while (!plan.complete(step)) {
        for (auto part : {take_all(plan), take_ahead(plan)})
          running.insert(running.end(), part.begin(), part.end());
        for (const auto& key : plan.take_useless()) std::erase(running, key);
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
    CHECK(learnt(true, seed) == expected);
    CHECK(learnt(false, seed) == expected);
  }
}
