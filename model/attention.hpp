#pragma once

#include "model/where.hpp"

#include <cstdint>

namespace banyan {

/// Paged attention over one layer, as one kernel: every token attends to its sequence's cached
/// tokens up to its own position. Raw pointers and no LibTorch, so that the CPU twin and the CUDA
/// kernel share it.
struct paged_attention_args {
  const void* query =
      nullptr; ///< [tokens, query_stride]; head h at h·head_dim; rotary already applied
  const void* keys = nullptr;                 ///< [num_blocks, block_size, kv_heads, head_dim]
  const void* values = nullptr;               ///< the same
  void* output = nullptr;                     ///< [tokens, heads·head_dim], the type of `query`
  const std::int32_t* starts = nullptr;       ///< [sequences + 1]
  const std::int32_t* positions = nullptr;    ///< [tokens]
  const std::int32_t* blocks = nullptr;       ///< block tables, ragged
  const std::int32_t* block_starts = nullptr; ///< [sequences + 1]
  std::int32_t num_sequences = 0, num_tokens = 0;
  std::int32_t heads = 0, kv_heads = 0, head_dim = 0, block_size = 0;
  std::int64_t query_stride = 0; ///< elements between tokens in `query`
  float scale = 1;               ///< 1/√head_dim
  bool bfloat16 = false;         ///< element type: bfloat16, else float32
};

void paged_attention(const paged_attention_args&, on_cpu);
void paged_attention(const paged_attention_args&, on_stream);

} // namespace banyan
