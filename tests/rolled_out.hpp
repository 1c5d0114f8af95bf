#pragma once

#include "solver/tree.hpp"
#include "trainer/rollout_plan.hpp"

#include <memory>
#include <string>
#include <vector>

namespace banyan {

inline std::shared_ptr<const tree> result(bool solved, errc failure = errc::none) {
  auto t = std::make_shared<tree>();
  t->add("/");
  t->phase =
      failure == errc::none || failure == errc::no_solution ? tree_phase::done : tree_phase::failed;
  t->failure = failure;
  t->outcome.solved = t->outcome.claimed = solved;
  return t;
}

inline rollout_options small() {
  rollout_options o;
  o.prompts = 2;
  o.group = 2;
  o.max_groups = 3;
  o.max_attempts = 2;
  o.deadline_s = 10;
  o.reward = [](const tree& t) { return double(t.outcome.solved); };
  return o;
}

inline rollout_options with_one_attempt() {
  auto o = small();
  o.max_attempts = 1;
  return o;
}

/// "step.group.member.attempt"
inline std::string id_of(const rollout_key& key) {
  return std::to_string(key.step) + "." + std::to_string(key.group) + "."
         + std::to_string(key.member) + "." + std::to_string(key.attempt);
}

inline std::vector<rollout_key> take_all(rollout_plan& plan, double now_s = 0) {
  std::vector<rollout_key> keys;
  while (plan.due()) {
    keys.push_back(plan.take_due());
    plan.started(keys.back(), id_of(keys.back()), now_s);
  }
  return keys;
}

/// A group that teaches something: one tree is right, the others are not.
inline void finish_mixed(rollout_plan& plan, std::int64_t step, std::uint32_t group) {
  plan.finish({step, group, 0, 0}, result(true));
  plan.finish({step, group, 1, 0}, result(false));
}

} // namespace banyan
