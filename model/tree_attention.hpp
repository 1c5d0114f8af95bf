#pragma once

#include <cstdint>

namespace banyan {

/// What attention of training over trees reads and writes, on whichever device.
struct tree_attention_base {
  const void* qkv = nullptr; ///< [tokens, heads + 2 kv_heads, head_dim] before the rotary embedding
  void* output = nullptr;    ///< [tokens, heads, head_dim]
  float* log_sum_exp = nullptr;                ///< [heads, tokens]
  const void* grad_output = nullptr;           ///< backward: [tokens, heads, head_dim]
  void* grad_qkv = nullptr;                    ///< backward: like `qkv`
  const float *cos = nullptr, *sin = nullptr;  ///< [max_positions, head_dim / 2]
  const std::int32_t* positions = nullptr;     ///< [tokens]
  const std::int32_t* visible_until = nullptr; ///< [tokens] within the sequence
  std::int32_t num_tokens = 0, heads = 0, kv_heads = 0, head_dim = 0;
};

/// Attention of training on the CPU: sequences of any lengths one after the other, each laid out
/// depth first as a tree (see sequence_batch), with the rotary embedding of queries and keys
/// included. Nothing is padded, masked-out key ranges are skipped, and the probabilities are never
/// kept: the backward pass computes them again from their log-sum-exp (FlashAttention, Dao et al.
/// 2022). Inside it is float32. `head_dim` is 16, 32, 64 or 128.
struct tree_attention_args : tree_attention_base {
  const std::int32_t* starts = nullptr; ///< [sequences + 1]
  std::int64_t num_sequences = 0;
  bool bfloat16 = false; ///< type of qkv, output and their gradients; else float32
};

/// Whether the kernel takes this head_dim; others go another way.
bool tree_attention_fits(std::int64_t head_dim);

void tree_attention_forward(const tree_attention_args&);
void tree_attention_backward(const tree_attention_args&);

} // namespace banyan
