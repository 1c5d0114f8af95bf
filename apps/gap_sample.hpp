#pragma once

#include "apps/decoding_options.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <vector>

namespace banyan {

class tokenizer;
class transformer;

/// Trees of an evaluation whose logprobs are scored again by the training pass: some 32 of them,
/// spread evenly over the problems.
class gap_sample {
public:
  explicit gap_sample(std::size_t num_problems) : num_problems_(num_problems) {}

  /// Keeps a tree of this problem if it belongs to the sample.
  void add(std::size_t problem, const tree&);

  /// The largest gap of those that were kept. `scorer` has the weights as training has them, in
  /// float32; its products are those that pools decode in.
  double largest(const transformer& scorer, const tokenizer&, const decoding_options&) const;

private:
  std::size_t num_problems_;
  std::vector<tree> trees_;
};

} // namespace banyan
