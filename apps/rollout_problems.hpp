#pragma once

#include "apps/rl_options.hpp"
#include "solver/request.hpp"
#include "trainer/rollout_plan.hpp"
#include "trainer/tree_store.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

class tree_ids;

/// The problem of every group and the request of every tree, as pure functions of (options, place):
/// a run that goes on asks for what it would have asked for.
class rollout_problems {
public:
  /// `given`: problems to learn from; none: drawn ones. `held_out` never come up, nor do problems
  /// without a solution. Throws bad_usage where nothing is left.
  rollout_problems(const train_rl_options&, std::vector<problem> given, problem_set held_out);

  problem problem_of(const rollout_source&) const;

  /// With labels that say its place and what was asked for, and a seed of its own. `run`: who made
  /// the weights that it is for.
  solve_request request_for(const rollout_key&, const rollout_source&, const std::string& run,
                            tree_ids&) const;

  /// Did somebody ask for the tree with just this request?
  bool answers(const tree&, const rollout_key&, const rollout_source&,
               const std::string& run) const;

private:
  void look_for_one() const;
  solve_request request_for(const rollout_key&, const rollout_source&,
                            const std::string& run) const;

  train_rl_options options_;
  std::vector<problem> given_;
  problem_set held_out_;
};

/// Finished trees of a store whose labels say that they belong to steps from `first` to `last`.
std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>>
known_rollouts(const tree_store&, std::int64_t first, std::int64_t last,
               const on_damage& = nullptr);

/// Is a finished tree in it that is no rollout?
bool holds_trees_of_others(const tree_store&);

/// How many trees in it are neither finished nor rollouts.
std::size_t num_unfinished_of_others(const tree_store&);

/// Drops the rollouts that nobody has finished, and no tree of others.
void forget_unfinished_rollouts(tree_store&);

/// Was all of the tree sampled with the weights of these epochs?
bool sampled_between(std::uint32_t first, std::uint32_t last, const tree&);

} // namespace banyan
