#pragma once

#include "actors/budget.hpp"
#include "actors/messages.hpp"
#include "solver/trace.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace banyan {

/// Decides when a parent goes on after a spawn. Children answer in any order and are kept in the
/// order in which they were spawned. Once the join is met nothing changes it any more.
class join {
public:
  /// `begin`: from when on the time of the policy `deadline` counts.
  join(join_policy, std::size_t num_children, time_point begin = {});

  /// The answer of one child; its second answer and answers after the join was met count for
  /// nothing.
  void arrive(std::size_t child, child_result);

  /// When the policy `deadline` has no more patience; nothing for the others.
  std::optional<time_point> due() const { return due_; }
  /// From then on the join is met with what has come.
  void look(time_point now);
  /// The time of a pause does not count.
  void stand_still(nanoseconds pause);

  bool met() const { return met_; }

  /// One per child, in spawn order; a loser's failure is `cancelled`, or `deadline` where that is
  /// over.
  std::span<const child_result> results() const { return results_; }

  /// Children that the met join did not wait for, in spawn order: nobody needs what they do any
  /// more.
  std::vector<std::size_t> losers() const;

private:
  bool satisfied() const;

  join_policy policy_;
  std::optional<time_point> due_;
  std::vector<child_result> results_;
  std::vector<bool> arrived_;
  std::size_t num_arrived_ = 0, num_solved_ = 0;
  bool met_;
};

} // namespace banyan
