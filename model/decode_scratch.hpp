#pragma once

#include "model/weights.hpp"

#include <cstdint>
#include <memory>
#include <mutex>

#include <ATen/core/Tensor.h>

namespace banyan {

class cuda_runner;

/// Results on their way through a layer, for one number of tokens.
struct activations {
  at::Tensor residual; // [tokens, d] float32
  // In the weights' type:
  at::Tensor normed;         // [tokens, d]
  at::Tensor qkv;            // [tokens, (heads + 2 · kv_heads) · head_dim]
  at::Tensor attended;       // [tokens, heads · head_dim]
  at::Tensor gate_up, gated; // [tokens, 2 f], [tokens, f]

  static constexpr at::Tensor activations::*all[] = {&activations::residual, &activations::normed,
                                                     &activations::qkv,      &activations::attended,
                                                     &activations::gate_up,  &activations::gated};
};

/// What steps over one cache work with, whichever weights they have. So pools that share published
/// weights wait for each other in nothing. Private to model/.
struct decode_scratch {
  std::mutex mutex; ///< one step at a time
  activations whole, part;
  std::shared_ptr<cuda_runner> cuda; ///< once a step has run on a CUDA device

  /// Activations for this many tokens; allocates only where no earlier step had as many.
  activations& reserve(const model_weights&, std::int64_t tokens);
};

} // namespace banyan
