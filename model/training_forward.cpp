#include "model/training_attention.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <ATen/ATen.h>

namespace banyan {

namespace {

at::Tensor index_tensor(const std::vector<std::int32_t>& values, const at::Device& device) {
  return at::tensor(values, at::kInt).to(device, at::kLong);
}

/// RMSNorm in float32 (Zhang & Sennrich 2019): x · w / √(mean x² + eps).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return at::rms_norm(x, {x.size(-1)}, weight, eps);
}

struct step {
  const model_config& config;
  at::ScalarType compute;
  training_attention attention_of; ///< over the batch

  at::Tensor product(const at::Tensor& x, const at::Tensor& weight) const {
    return at::linear(x.to(compute), weight.to(compute));
  }

  at::Tensor attention(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    return product(attention_of(product(x, layer.qkv)), layer.output);
  }

  at::Tensor mlp(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    auto halves = product(x, layer.gate_up).chunk(2, -1);
    return product(at::silu(halves[0]) * halves[1], layer.down);
  }
};

} // namespace

at::Tensor transformer::forward(const sequence_batch& batch, const at::Tensor& selected,
                                dtype compute) const {
  const auto& w = *weights();
  const auto& c = w.config;
  const auto device = w.embedding.device();
  const step s{c, compute == dtype::bfloat16 ? at::kBFloat16 : at::kFloat,
               training_attention(batch, c, device)};

  auto x = at::embedding(w.embedding, index_tensor(batch.ids, device)); // [tokens, d] float32
  for (const auto& layer : w.layers) {
    x = x + s.attention(rms_norm(x, layer.attention_norm, c.rms_norm_eps), layer);
    x = x + s.mlp(rms_norm(x, layer.mlp_norm, c.rms_norm_eps), layer);
  }
  if (selected.defined()) x = x.index_select(0, selected);
  x = rms_norm(x, w.final_norm, c.rms_norm_eps);
  return s.product(x, w.head).to(at::kFloat);
}

} // namespace banyan
