#pragma once

#include "actors/messages.hpp"
#include "solver/trace.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace banyan {

/// Decides when a parent goes on after a spawn. Children answer in any order and are kept in the
/// order in which they were spawned. Once the join is met nothing changes it any more.
class join {
public:
  join(join_policy, std::size_t num_children);

  /// The answer of one child; its second answer and answers after the join was met count for
  /// nothing.
  void arrive(std::size_t child, child_result);

  /// The time of the policy `deadline` is over: the join is met with what has come.
  void expire();

  bool met() const { return met_; }

  /// One per child, in spawn order; a loser's failure is `cancelled`, or `deadline` after `expire`.
  std::span<const child_result> results() const { return results_; }

  /// Children that the met join did not wait for, in spawn order: nobody needs what they do any
  /// more.
  std::vector<std::size_t> losers() const;

private:
  bool satisfied() const;

  join_policy policy_;
  std::vector<child_result> results_;
  std::vector<bool> arrived_;
  std::size_t num_arrived_ = 0, num_solved_ = 0;
  bool met_;
};

} // namespace banyan
