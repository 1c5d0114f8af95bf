#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace banyan {

struct thread_record;
struct tree;

enum class credit_kind : std::uint8_t {
  shared,     ///< every thread of a tree (the paper)
  per_thread, ///< only threads that the outcome can be put down to, see `trained_threads`
};

/// What to do with threads that were cancelled, or that no join waited for any more, and with those
/// below them.
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

/// The threads of a tree that are trained on, with its advantage. `left_out`: none that was wasted
/// (`tree::wasted`). `per_thread`: none that the tree's reward cannot be put down to, as children
/// that were wasted and, in a tree that is worth something, those whose solution the answer did not
/// use; in one that is worth nothing every child that was waited for shares the blame, for each
/// could have found what none did.
std::vector<const thread_record*> trained_threads(const tree&, double reward,
                                                  const credit_options&);

/// Did the tree's answer go through the node at which this child began, and had the child a
/// solution? Grandchildren count with their parents.
bool answer_used(const tree&, const thread_record&);

} // namespace banyan
