#pragma once

#include "model/config.hpp"

#include <memory>

#include <ATen/core/Tensor.h>

namespace banyan {

struct sequence_batch;

/// Attention over one batch of training sequences, the rotary embedding included, with autograd. On
/// the CPU it is our own kernel (tree_attention); elsewhere ATen's, over padded rows and a mask.
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

} // namespace banyan
