#include "trainer/rollout_actor.hpp"

#include "actors/errors.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/made_up_node.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace banyan;
using namespace std::chrono_literals;

namespace {

using ids = std::vector<std::string>;

/// One group of three trees at a time over a node whose trees end when the test says so.
struct rolling : deterministic_system {
  std::shared_ptr<node_script> script = std::make_shared<node_script>();
  rollout_actor_options options;
  std::set<std::string> scored;
  node_actor node;
  rollout_actor rollouts;

  rolling() {
    script->solve = [](const solve_request&) { return std::nullopt; };
    options.last_step = 1;
    options.concurrency = 3;
    options.plan.prompts = 1;
    options.plan.group = 3;
    options.plan.max_groups = 2;
    options.plan.deadline_s = 10;
    options.plan.reward = [this](const tree& t) {
      scored.insert(t.id);
      return double(t.outcome.solved);
    };
    options.request_for = [](const rollout_key& key, const rollout_source&, std::uint32_t) {
      solve_request r;
      r.id = std::to_string(key.group) + "." + std::to_string(key.member) + "."
             + std::to_string(key.attempt);
      return r;
    };
  }

  ~rolling() {
    end(rollouts);
    end(node);
  }

  void start(std::uint32_t attempts) {
    options.plan.max_attempts = attempts;
    node = sys.spawn(made_up_node, script);
    rollouts = spawn_rollouts(sys, node, options);
    self->send(rollouts, weights_published{0});
    run();
  }

  void finish(const std::string& id, bool solved, errc failure = errc::none) {
    auto t = std::make_shared<tree>();
    t->add("/");
    t->id = id;
    t->phase = failure == errc::none ? tree_phase::done : tree_phase::failed;
    t->failure = failure;
    t->outcome.solved = t->outcome.claimed = solved;
    caf::anon_send(node, finished_tree{std::move(t)});
    run();
  }

  /// What the node was asked for since the last time.
  ids news() {
    ids all;
    for (const auto& r : script->asked) all.push_back(r.id);
    script->asked.clear();
    return all;
  }

  std::shared_ptr<const rollout_batch> batch() {
    return ask<tree_groups>(rollouts, group_request{0})->value;
  }
};

} // namespace

TEST_CASE_METHOD(rolling, "what still runs for a dropped group is cancelled and never scored",
                 "[trainer]") {
  start(1);
  CHECK(news() == ids{"0.0.0", "0.1.0", "0.2.0"});
  finish("0.0.0", true);
  CHECK(script->cancelled.empty());
  finish("0.1.0", false, errc::pool_lost); // its only attempt
  CHECK(script->cancelled == ids{"0.2.0"});
  CHECK(news() == ids{"1.0.0", "1.1.0", "1.2.0"}); // made up for
  finish("0.2.0", true);                           // it ended before it heard of that
  finish("1.0.0", true);
  finish("1.1.0", false);
  finish("1.2.0", false);
  const auto all = batch();
  REQUIRE(all->groups.size() == 1);
  CHECK(all->groups[0].rewards == std::vector<double>{1, 0, 0});
  CHECK(all->counts.dropped == 1);
  CHECK(all->figures.problems() == 3);
  CHECK(scored == std::set<std::string>{"1.0.0", "1.1.0", "1.2.0"});
}

TEST_CASE_METHOD(rolling, "a tree whose time is over is cancelled and replaced", "[trainer]") {
  start(2);
  CHECK(news().size() == 3);
  finish("0.0.0", true);
  finish("0.1.0", false);
  advance(9s);
  CHECK(script->cancelled.empty());
  CHECK(news().empty());
  advance(2s);
  CHECK(script->cancelled == ids{"0.2.0"});
  CHECK(news() == ids{"0.2.1"});
  finish("0.2.0", true); // too late
  CHECK(ask<rollout_status>(rollouts, atom::status_v)->running == 1);
  advance(8s); // the time of the second attempt is its own
  CHECK(script->cancelled.size() == 1);
  finish("0.2.1", false);
  const auto all = batch();
  REQUIRE(all->groups.size() == 1);
  CHECK(all->groups[0].rewards == std::vector<double>{1, 0, 0});
  CHECK(all->groups[0].trees[2]->id == "0.2.1");
  CHECK(all->counts.repeated == 1);
  CHECK(scored.count("0.2.0") == 0);
}

TEST_CASE_METHOD(rolling, "a tree that is late too often takes its group with it", "[trainer]") {
  start(2);
  advance(5s);
  finish("0.2.0", false, errc::pool_lost);
  advance(6s);
  CHECK(script->cancelled == ids{"0.0.0", "0.1.0"});
  CHECK(news() == ids{"0.0.0", "0.1.0", "0.2.0", "0.2.1", "0.0.1", "0.1.1"});
  script->cancelled.clear();
  advance(5s); // the second attempt of member 2 is over, those of the others are not
  std::ranges::sort(script->cancelled);
  CHECK(script->cancelled == ids{"0.0.1", "0.1.1", "0.2.1"});
  CHECK(news() == ids{"1.0.0", "1.1.0", "1.2.0"});
}

TEST_CASE_METHOD(rolling, "where no pool is left the rollouts end, and no problem is dropped",
                 "[trainer]") {
  start(2);
  auto asked = self->request(rollouts, caf::infinite, group_request{0});
  news();
  script->refusal = errc::pool_lost;
  finish("0.0.0", false, errc::pool_lost);
  CHECK(news() == ids{"0.0.1"});
  const auto told = take<tree_groups>(asked);
  REQUIRE_FALSE(told);
  CHECK(errc_of(told.error(), errc::none) == errc::pool_lost);
  rollouts = nullptr;
}

TEST_CASE_METHOD(rolling, "a step's rollouts last from its first tree to its last one",
                 "[trainer]") {
  start(2);
  for (const auto* id : {"0.0.0", "0.1.0"}) finish(id, true);
  advance(3s);
  finish("0.2.0", false);
  advance(20s); // the trainer is busy
  auto asked = self->request(rollouts, caf::infinite, group_request{0});
  run();
  CHECK(take<tree_groups>(asked)->rollout_s == Approx(3));
}

TEST_CASE_METHOD(rolling,
                 "only trees that are to end with the weights they began with are held to them",
                 "[trainer]") {
  const auto epochs = [this] {
    std::set<std::optional<std::uint32_t>> all;
    for (const auto& r : script->asked) all.insert(r.weights_epoch);
    return all;
  };
  options.first_step = 3; // of which the trees are sampled with the weights before
  options.last_step = 4;
  options.policy = GENERATE(in_flight::finish, in_flight::go_on);
  start(1);
  self->send(rollouts, weights_published{2});
  run();
  const auto held = std::optional<std::uint32_t>(2);
  CHECK(epochs() == std::set{options.policy == in_flight::finish ? held : std::nullopt});
}
