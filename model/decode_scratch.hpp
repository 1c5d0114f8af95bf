#pragma once

#include "model/config.hpp"

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

/// What steps over one cache work with, whichever weights of the cache's shape they have. So pools
/// that share published weights wait for each other in nothing. Private to model/.
class decode_scratch {
public:
  /// `options`: the weights' type and device; `max_tokens`: of a step.
  decode_scratch(const model_config&, const at::TensorOptions& options, std::int64_t max_tokens);

  std::mutex mutex;                  ///< one step at a time
  std::shared_ptr<cuda_runner> cuda; ///< once a step has run on a CUDA device

  /// Activations for this many tokens, padding included, always at the same place: a recorded step
  /// knows where they are.
  activations& of(std::int64_t tokens);

private:
  activations whole_, part_;
};

} // namespace banyan
