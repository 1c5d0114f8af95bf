#pragma once

#include "model/tree_attention.hpp"

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
/// the same gradients to the last bit. `head_dim` is 16, 32 or 64; all pointers are the device's.
struct tree_attention_cuda_args : tree_attention_base {
  void* turned = nullptr;           ///< [tokens, heads + kv_heads, head_dim] queries, keys, turned
  float* delta = nullptr;           ///< backward, scratch: [heads, tokens]
  const tree_tile* tiles = nullptr; ///< [num_tiles]
  std::int32_t num_tiles = 0;
};

/// Whether the kernels take this head_dim; a build without them takes none.
bool tree_attention_cuda_fits(std::int64_t head_dim);

/// Launch on `stream` (a cudaStream_t of the current device) and return at once. `forward` fills
/// `turned`, `output` and `log_sum_exp`; `backward` reads them.
void tree_attention_forward_cuda(const tree_attention_cuda_args&, void* stream);
void tree_attention_backward_cuda(const tree_attention_cuda_args&, void* stream);

} // namespace banyan
