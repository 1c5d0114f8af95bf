#pragma once

namespace banyan {

struct tree;

/// What a tree is worth beside its answer. Costs are taken from correct trees only, and never more
/// than `most` in all: a cheap wrong tree is worth nothing and, where `most` is below 1, a dear
/// right one more than any wrong one, so nothing can be won by being short.
struct reward_options {
  double total_tokens = 0;    ///< cost of 1,000 generated tokens of the tree
  double critical_tokens = 0; ///< cost of 1,000 generated tokens on its critical path
  double threads = 0;         ///< cost of a thread beside the root
  double most = 0.5;          ///< all costs together
  /// A tree with more children than its `Sub Call Budget`, or whose root has a longer text than its
  /// `Token Budget`, is worth nothing.
  bool obey = true;
};

/// 0 for a tree without a verified solution; else 1, less its costs. With all costs 0 it is the
/// strict verifier's word, as in the paper (arXiv 2504.15466, §3.3).
double reward_of(const tree&, const reward_options&);

} // namespace banyan
