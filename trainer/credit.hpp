#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace banyan {

struct thread_record;
struct tree;

enum class credit_kind : std::uint8_t {
  shared,     ///< every thread of a tree (the paper)
  per_thread, ///< only threads that the outcome can be put down to, see `is_trained_on`
};

/// What to do with threads that were cancelled, or that no join waited for any more.
enum class cancelled_kind : std::uint8_t {
  sampled,  ///< trained on as far as they were sampled
  left_out, ///< not trained on, and not counted as sequences of their tree
};

struct credit_options {
  bool divide_by_std = true; ///< GRPO (arXiv 2402.03300, eq. 4); false: Dr. GRPO (2503.20783)
  credit_kind kind = credit_kind::shared;
  cancelled_kind cancelled = cancelled_kind::sampled;
};

/// Advantages over a group of trees of one problem, A_i = (r_i - mean r) / (std r + 1e-6), with the
/// standard deviation of the population, or without the division. All 0 where no reward differs.
std::vector<double> group_advantages(std::span<const double> rewards, bool divide_by_std);

/// Is this thread of the tree trained on, with the tree's advantage? `left_out`: not if it was
/// cancelled. `per_thread`: not if the outcome cannot be put down to it, as to a child that was
/// cancelled and, in a solved tree, one whose solution the answer did not use; in a tree that
/// failed every child that was waited for shares the blame, for each could have found what none
/// did.
bool is_trained_on(const tree&, const thread_record&, const credit_options&);

/// Did the tree's answer go through the node at which this child began, and had the child a
/// solution? Grandchildren count with their parents.
bool answer_used(const tree&, const thread_record&);

} // namespace banyan
