#pragma once

#include "model/config.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

namespace banyan {

struct sequence_batch;

/// Attention over one batch of training sequences, the rotary embedding included, with autograd. On
/// the CPU, and in bfloat16 on CUDA, it is a kernel of our own (tree_attention) where head_dim
/// fits; else ATen's, over rows of like length that are padded, with a mask where something is
/// hidden.
class training_attention {
public:
  /// Keeps what all layers share: tables, positions, visibility. `batch` must outlive the forward
  /// pass only. `compute`: the type of qkv.
  training_attention(const sequence_batch& batch, const model_config&, const at::Device&,
                     at::ScalarType compute = at::kFloat);

  /// qkv: [tokens, (heads + 2 kv_heads) · head_dim] → [tokens, heads · head_dim], same type
  at::Tensor operator()(const at::Tensor& qkv) const;

  struct layout; ///< shared with the backward pass
private:
  std::shared_ptr<const layout> layout_;
};

/// The sequences that are not empty, longest first, in groups: none is shorter than half of the
/// longest of its group, so less than half of a padded group is padding, and there are no more than
/// log2(longest) + 1 groups. `starts`: as in sequence_batch.
std::vector<std::vector<std::size_t>> of_like_length(std::span<const std::int32_t> starts);

} // namespace banyan
