#include "model/weights.hpp"

#include "model/device.hpp"
#include "model/element_type.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

/// Applies `make` to every tensor slot, in a fixed order, together with its shape.
template <class Make>
void for_each_tensor(model_weights& w, Make make) {
  const auto& c = w.config;
  const auto q = c.num_heads * c.head_dim;
  const auto kv = c.num_kv_heads * c.head_dim;
  make(w.embedding, {c.vocab_size, c.hidden_size});
  w.layers.resize(static_cast<std::size_t>(c.num_layers));
  for (auto& layer : w.layers) {
    make(layer.attention_norm, {c.hidden_size});
    make(layer.qkv, {q + 2 * kv, c.hidden_size});
    make(layer.output, {c.hidden_size, q});
    make(layer.mlp_norm, {c.hidden_size});
    make(layer.gate_up, {2 * c.intermediate_size, c.hidden_size});
    make(layer.down, {c.hidden_size, c.intermediate_size});
  }
  make(w.final_norm, {c.hidden_size});
  if (!c.tie_embeddings) make(w.head, {c.vocab_size, c.hidden_size});
}

void tie(model_weights& w) {
  if (w.config.tie_embeddings) w.head = w.embedding;
}

} // namespace

std::vector<named_tensor> named_views(const model_weights& w) {
  const auto& c = w.config;
  const auto q = c.num_heads * c.head_dim;
  const auto kv = c.num_kv_heads * c.head_dim;
  const auto f = c.intermediate_size;
  std::vector<named_tensor> all{{"model.embed_tokens.weight", w.embedding}};
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    const auto& l = w.layers[i];
    const auto at = "model.layers." + std::to_string(i) + ".";
    all.push_back({at + "input_layernorm.weight", l.attention_norm});
    all.push_back({at + "self_attn.q_proj.weight", l.qkv.narrow(0, 0, q)});
    all.push_back({at + "self_attn.k_proj.weight", l.qkv.narrow(0, q, kv)});
    all.push_back({at + "self_attn.v_proj.weight", l.qkv.narrow(0, q + kv, kv)});
    all.push_back({at + "self_attn.o_proj.weight", l.output});
    all.push_back({at + "post_attention_layernorm.weight", l.mlp_norm});
    all.push_back({at + "mlp.gate_proj.weight", l.gate_up.narrow(0, 0, f)});
    all.push_back({at + "mlp.up_proj.weight", l.gate_up.narrow(0, f, f)});
    all.push_back({at + "mlp.down_proj.weight", l.down});
  }
  all.push_back({"model.norm.weight", w.final_norm});
  if (!c.tie_embeddings) all.push_back({"lm_head.weight", w.head});
  return all;
}

model_weights empty_weights(const model_config& config, dtype type, const std::string& device) {
  model_weights w{.config = config};
  const auto options = at::TensorOptions(scalar_type(type)).device(at::Device(device));
  for_each_tensor(w, [&](at::Tensor& t, at::IntArrayRef shape) { t = at::empty(shape, options); });
  tie(w);
  return w;
}

model_weights random_weights(const model_config& config, std::uint64_t seed) {
  auto w = empty_weights(config, dtype::float32);
  auto generator = at::detail::createCPUGenerator(seed);
  auto fill = [&](at::Tensor& t, double std) { t.normal_(0, std, generator); };
  const auto matrix = [](const at::Tensor& t) { return 0.5 / std::sqrt(double(t.size(1))); };
  const auto residual = 1 / std::sqrt(2.0 * double(config.num_layers));
  fill(w.embedding, 0.02);
  for (auto& layer : w.layers) {
    layer.attention_norm.fill_(1);
    fill(layer.qkv, matrix(layer.qkv));
    fill(layer.output, matrix(layer.output) * residual);
    layer.mlp_norm.fill_(1);
    fill(layer.gate_up, matrix(layer.gate_up));
    fill(layer.down, matrix(layer.down) * residual);
  }
  w.final_norm.fill_(1);
  if (!config.tie_embeddings) fill(w.head, 0.02);
  return w;
}

model_weights copy_weights(const model_weights& from, dtype type, const std::string& device) {
  require_device(device);
  auto to = empty_weights(from.config, type, device);
  at::NoGradGuard no_grad;
  auto sources = named_views(from);
  auto targets = named_views(to);
  for (std::size_t i = 0; i < sources.size(); ++i) targets[i].value.copy_(sources[i].value);
  return to;
}

model_weights share_weights(const model_weights& from) {
  auto to = from;
  // Each with a version of its own, so that later changes of the owner's are not taken for theirs.
  for_each_tensor(to, [](at::Tensor& t, at::IntArrayRef) { t = t.variable_data(); });
  tie(to);
  return to;
}

void leave_shared_memory(model_weights& w) {
  at::NoGradGuard no_grad;
  for_each_tensor(w, [](at::Tensor& t, at::IntArrayRef) { t.set_data(t.variable_data().clone()); });
}

} // namespace banyan
