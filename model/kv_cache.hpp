#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace banyan {

class decode_scratch; // model/decode_scratch.hpp

struct cache_size {
  std::int64_t num_blocks = 0;
  std::int64_t block_size = 16;  ///< tokens
  std::int64_t max_tokens = 768; ///< of one step
};

/// Keys and values in blocks of `block_size` tokens. Who owns which block is decided elsewhere
/// (gpu_pool/blocks); this is the memory alone, and what steps that decode into it work with. For
/// all models of one shape.
class kv_cache {
public:
  kv_cache(const model_config&, const cache_size&, dtype, const std::string& device);
  ~kv_cache();

  std::int64_t num_blocks() const { return size_.num_blocks; }
  std::int64_t block_size() const { return size_.block_size; }
  std::int64_t max_tokens() const { return size_.max_tokens; }
  std::int64_t max_blocks_of_sequence() const; ///< a text as long as the model takes

  /// Whether the models are of this one's shape; how their weights are stored does not matter.
  bool serves(model_config) const;

  at::Tensor keys, values; // [layers, num_blocks, block_size, kv_heads, head_dim]

  /// Bytes of one block over all layers, keys and values.
  static std::int64_t block_bytes(const model_config&, std::int64_t block_size, dtype);

  decode_scratch& scratch() { return *scratch_; }

private:
  model_config config_;
  cache_size size_;
  std::unique_ptr<decode_scratch> scratch_;
};

} // namespace banyan
