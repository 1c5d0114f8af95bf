#pragma once

#include "apps/rl_options.hpp"
#include "solver/request.hpp"
#include "trainer/rollout_plan.hpp"
#include "trainer/tree_store.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace banyan {

class tree_ids;

/// The problem of every group and the request of every tree, as pure functions of (options, place):
/// a run that goes on asks for what it would have asked for.
class rollout_problems {
public:
  /// `given`: problems to learn from; none: drawn ones. `held_out` never come up. Throws bad_usage
  /// where nothing is left, or where a problem that was given has no solution.
  rollout_problems(const train_rl_options&, std::vector<problem> given, problem_set held_out);

  problem problem_of(const rollout_source&) const;

  /// With labels that say its place, and a seed of its own.
  solve_request request_for(const rollout_key&, const rollout_source&, tree_ids&) const;

private:
  train_rl_options options_;
  std::vector<problem> given_;
  problem_set held_out_;
};

/// Finished trees of a store that belong to steps from `first` to `last` and were sampled with
/// weights of epochs up to `epoch`.
std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>>
known_rollouts(const tree_store&, std::int64_t first, std::int64_t last, std::uint32_t epoch);

} // namespace banyan
