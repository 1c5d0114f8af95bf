#pragma once

#include <cstdint>

namespace banyan {

/// Queries, and keys, that a block of the device works on together.
inline constexpr std::int32_t attention_tile = 64;

/// A tile of one sequence, and what a query that comes later must know of it as a tile of keys.
struct tree_tile {
  std::int32_t begin, length; ///< of its sequence in the batch, tokens
  std::int32_t first;         ///< its first token within the sequence
  std::int32_t first_tile;    ///< of its sequence, index into the tiles
  std::int32_t num_tiles;     ///< of its sequence
  std::int32_t least, last;   ///< the smallest and the largest `visible_until` of its tokens
};

/// The twin of tree_attention on a CUDA device, in bfloat16 on tensor cores; sums, softmax and
/// log-sum-exp are float32, probabilities are rounded to bfloat16 before they are multiplied, as in
/// FlashAttention-2 (Dao 2023). The backward pass needs no atomic additions: the same numbers give
/// the same gradients to the last bit. All pointers are the device's.
struct tree_attention_cuda_args {
  const void* qkv = nullptr;    ///< [tokens, heads + 2 kv_heads, head_dim], not yet turned
  void* turned = nullptr;       ///< [tokens, heads + kv_heads, head_dim] queries and keys, turned
  void* output = nullptr;       ///< [tokens, heads, head_dim]
  float* log_sum_exp = nullptr; ///< [heads, tokens]
  const void* grad_output = nullptr;           ///< backward: [tokens, heads, head_dim]
  float* delta = nullptr;                      ///< backward, scratch: [heads, tokens]
  void* grad_qkv = nullptr;                    ///< backward: like `qkv`
  const float *cos = nullptr, *sin = nullptr;  ///< [max_positions, head_dim / 2]
  const std::int32_t* positions = nullptr;     ///< [tokens]
  const std::int32_t* visible_until = nullptr; ///< [tokens] within the sequence
  const tree_tile* tiles = nullptr;            ///< [num_tiles]
  std::int32_t num_tiles = 0, num_tokens = 0;
  std::int32_t heads = 0, kv_heads = 0;
  std::int32_t head_dim = 0; ///< 16, 32 or 64
};

/// Whether the kernels take this head_dim; a build without them takes none.
bool tree_attention_cuda_fits(std::int64_t head_dim);

/// Launch on `stream` (a cudaStream_t) and return at once. `forward` fills `turned`, `output` and
/// `log_sum_exp`; `backward` reads them.
void tree_attention_forward_cuda(const tree_attention_cuda_args&, void* stream);
void tree_attention_backward_cuda(const tree_attention_cuda_args&, void* stream);

} // namespace banyan
