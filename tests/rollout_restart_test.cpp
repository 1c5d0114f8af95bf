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

TEST_CASE("trees from before a restart are not rolled out again", "[trainer]") {
  rollout_plan plan(small());
  plan.restore({0, 0, 0, 1}, result(true)); // whatever attempt it was
  plan.restore({0, 0, 1, 0}, result(true)); // an equal group, to be made up for
  plan.restore({0, 2, 1, 0}, result(false));
  plan.restore({0, 1, 0, 0}, result(false, errc::deadline)); // never scored
  plan.open(0);
  const auto keys = take_all(plan);
  const std::set<rollout_key> due(keys.begin(), keys.end());
  CHECK(due == std::set<rollout_key>{{0, 1, 0, 0}, {0, 1, 1, 0}, {0, 2, 0, 0}});
  finish_mixed(plan, 0, 1);
  plan.finish({0, 2, 0, 0}, result(true));
  CHECK(plan.take(0).groups.size() == 2);
}

TEST_CASE("trees from before a restart do not take a step beyond its limit", "[trainer]") {
  rollout_plan plan(small());
  for (std::uint32_t group = 0; group < 20; ++group)
    for (std::uint32_t member = 0; member < 2; ++member)
      plan.restore({0, group, member, 0}, result(false));
  plan.open(0);
  CHECK_FALSE(plan.due());
  REQUIRE(plan.complete(0));
  const auto batch = plan.take(0);
  CHECK(batch.counts.groups == 6);
  CHECK(batch.counts.none_solved == 6);
  CHECK(batch.figures.problems() == 12);
}

namespace {

/// Two steps that run at once, with a problem that waits for one of them. Whether a group teaches
/// something is a function of its place.
struct two_steps {
  rollout_plan plan;
  std::vector<rollout_key> ended; ///< in their order

  explicit two_steps(rollout_options o) : plan(std::move(o)) {
    plan.restore({.waiting = {{2, 7}}, .open = {}});
  }

  static std::shared_ptr<const tree> outcome(const rollout_key& k) {
    const auto kind = (k.step + k.group) % 4;
    return result(kind == 1 || (kind == 3 && k.member == 1));
  }

  void restore(std::span<const rollout_key> keys) {
    for (const auto& key : keys) plan.restore(key, outcome(key));
  }

  /// Newest first, so that groups are made up for while others are due.
  void run() {
    plan.open(3);
    plan.open(4);
    while (plan.due()) {
      auto keys = take_all(plan);
      for (; !keys.empty(); keys.pop_back()) {
        plan.finish(keys.back(), outcome(keys.back()));
        ended.push_back(keys.back());
      }
    }
  }

  /// All that a step is trained on and logged with.
  std::string told(std::int64_t step) {
    REQUIRE(plan.complete(step));
    const auto batch = plan.take(step);
    const auto& c = batch.counts;
    std::ostringstream text;
    text << c.groups << ' ' << c.informative << ' ' << c.all_solved << ' ' << c.none_solved << ' '
         << batch.figures.problems() << ' ' << batch.reward_sum << '\n';
    for (const auto& g : batch.groups)
      text << g.index << " of " << g.source.step << '.' << g.source.group << ", worth "
           << g.rewards[0] << ' ' << g.rewards[1] << '\n';
    for (const auto& [place, source] : batch.places.open)
      text << place.step << '.' << place.group << " has " << source.step << '.' << source.group
           << '\n';
    return text.str();
  }
};

} // namespace

TEST_CASE("a step is the same wherever a restart came between its trees", "[trainer]") {
  auto o = small();
  o.prompts = 3;
  o.max_groups = GENERATE(1U, 2U, 4U); // at once at the limit; then; never
  two_steps whole(o);
  whole.run();
  const auto third = whole.told(3), fourth = whole.told(4);
  for (std::size_t before = 0; before <= whole.ended.size(); ++before) {
    INFO(before << " trees ended before the restart");
    two_steps resumed(o);
    resumed.restore(std::span(whole.ended).first(before));
    resumed.run();
    CHECK(resumed.ended.size() == whole.ended.size() - before);
    CHECK(resumed.told(3) == third);
    CHECK(resumed.told(4) == fourth);
  }
}

TEST_CASE("a tree from before a restart is taken only where it fits its place", "[trainer]") {
  auto o = small();
  const auto right = result(true), wrong = result(false);
  // Group 0 of step 3 has the problem that returned from step 1.
  o.fits = [&](const rollout_key& key, const rollout_source& source, const tree& t) {
    return key.attempt == 1 && (source.step == 1) == (&t == right.get());
  };
  rollout_plan plan(o);
  plan.restore({.waiting = {{1, 5}}, .open = {}});
  for (const auto& t : {wrong, right})
    for (std::uint32_t group = 0; group < 2; ++group) plan.restore({3, group, 0, 1}, t);
  plan.restore({3, 1, 1, 0}, right);
  plan.open(3);
  const auto keys = take_all(plan);
  CHECK(keys == std::vector<rollout_key>{{3, 0, 1, 0}, {3, 1, 1, 0}});
  for (const auto& key : keys) plan.finish(key, result(key.group == 1));
  const auto batch = plan.take(3);
  REQUIRE(batch.groups.size() == 2);
  CHECK(batch.groups[0].trees[0] == right);
  CHECK(batch.groups[1].trees[0] == wrong);
}

namespace {

/// What the groups of a step ask for.
std::vector<rollout_source> sources_of(const rollout_plan& plan, std::int64_t step,
                                       std::uint32_t groups) {
  std::vector<rollout_source> all;
  for (std::uint32_t i = 0; i < groups; ++i) all.push_back(plan.source_of({step, i, 0, 0}));
  return all;
}

} // namespace

TEST_CASE("after a restart open steps ask for what they asked for before", "[trainer]") {
  const bool opened_before_the_drop = GENERATE(true, false);
  rollout_plan plan(with_one_attempt());
  plan.open(0);
  if (opened_before_the_drop) plan.open(1);
  plan.finish({0, 0, 0, 0}, nullptr);
  if (!opened_before_the_drop) plan.open(1);
  finish_mixed(plan, 0, 1);
  finish_mixed(plan, 0, 2);
  const auto expected = sources_of(plan, 1, 2);
  CHECK((expected[0] == rollout_source{0, 0}) != opened_before_the_drop);

  rollout_plan again(with_one_attempt());
  again.restore(plan.take(0).places);
  again.open(1);
  CHECK(sources_of(again, 1, 2) == expected);
  for (auto* p : {&plan, &again}) p->open(2);
  CHECK(sources_of(again, 2, 2) == sources_of(plan, 2, 2));
}

TEST_CASE("what an open step has dropped is its own after a restart", "[trainer]") {
  rollout_plan plan(with_one_attempt());
  plan.open(0);
  plan.open(1);
  plan.finish({1, 1, 0, 0}, nullptr);
  finish_mixed(plan, 0, 0);
  finish_mixed(plan, 0, 1);
  const auto places = plan.take(0).places;
  CHECK(places.waiting.empty());
  CHECK(places.open.at({1, 1}) == rollout_source{1, 1});
}

TEST_CASE("a problem whose place a resumed step does not have comes back later", "[trainer]") {
  rollout_plan plan(small());
  plan.restore({.waiting = {}, .open = {{{1, 0}, {1, 0}}, {{1, 4}, {0, 7}}, {{1, 5}, {1, 5}}}});
  plan.open(1);
  finish_mixed(plan, 1, 0);
  finish_mixed(plan, 1, 1);
  const auto waiting = plan.take(1).places.waiting;
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0].source == rollout_source{0, 7});
}
