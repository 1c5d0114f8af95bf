#pragma once

#include "apps/rl_options.hpp"
#include "solver/request.hpp"
#include "trainer/rollout_plan.hpp"
#include "trainer/weight_makers.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace banyan {

class tree_ids;

/// The weights of a run that goes on.
struct weights_at_hand {
  weight_makers makers;
  std::uint32_t oldest = 0, newest = 0; ///< epochs
};

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

  /// The same of a tree from before a restart, and was it sampled with the weights that this place
  /// asks for now, by whoever made these?
  bool fits(const tree&, const rollout_key&, const rollout_source&, const weights_at_hand&) const;

private:
  void look_for_one() const;
  solve_request request_for(const rollout_key&, const rollout_source&,
                            const std::string& run) const;

  train_rl_options options_;
  std::vector<problem> given_;
  problem_set held_out_;
};

} // namespace banyan
