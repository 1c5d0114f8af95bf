#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace banyan {

struct decode_scratch; // model/decode_scratch.hpp

/// Keys and values in blocks of `block_size` tokens. Who owns which block is decided elsewhere
/// (gpu_pool/blocks); this is the memory alone, and what steps that decode into it work with.
class kv_cache {
public:
  kv_cache(const model_config&, std::int64_t num_blocks, std::int64_t block_size, dtype,
           const std::string& device);
  ~kv_cache();

  std::int64_t num_blocks() const { return num_blocks_; }
  std::int64_t block_size() const { return block_size_; }

  at::Tensor keys, values; // [layers, num_blocks, block_size, kv_heads, head_dim]

  /// Bytes of one block over all layers, keys and values.
  static std::int64_t block_bytes(const model_config&, std::int64_t block_size, dtype);

  decode_scratch& scratch() { return *scratch_; }

private:
  std::int64_t num_blocks_, block_size_;
  std::unique_ptr<decode_scratch> scratch_;
};

} // namespace banyan
