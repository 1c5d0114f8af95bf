#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace banyan {

/// Keys and values in blocks of `block_size` tokens. Who owns which block is decided elsewhere
/// (gpu_pool/blocks); this is the memory alone.
class kv_cache {
public:
  kv_cache(const model_config&, std::int64_t num_blocks, std::int64_t block_size, dtype,
           const std::string& device);

  std::int64_t num_blocks() const { return num_blocks_; }
  std::int64_t block_size() const { return block_size_; }

  at::Tensor keys, values; // [layers, num_blocks, block_size, kv_heads, head_dim]

  /// Bytes of one block over all layers, keys and values.
  static std::int64_t block_bytes(const model_config&, std::int64_t block_size, dtype);

private:
  std::int64_t num_blocks_, block_size_;
};

} // namespace banyan
