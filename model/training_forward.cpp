#include "model/transformer.hpp"

#include "model/weights.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

namespace banyan {

namespace {

/// What attention needs to know of one group: where its tokens lie, and who sees whom.
struct group_view {
  std::int64_t begin, rows, length;
  at::Tensor mask; // [rows, 1, length, length], 0 or -inf; undefined: plain causal
};

struct rotary_table {
  at::Tensor cos, sin; // [tokens, 1, head_dim]
};

at::Tensor int_tensor(const std::vector<std::int32_t>& values, const at::Device& device) {
  return at::tensor(values, at::kInt).to(device, at::kLong);
}

/// RMSNorm in float32 (Zhang & Sennrich 2019): x · w / √(mean x² + eps).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return at::rms_norm(x, {x.size(-1)}, weight, eps);
}

rotary_table rotary(const at::Tensor& positions, const model_config& c) {
  auto steps =
      at::arange(0, c.head_dim, 2, at::TensorOptions(at::kDouble).device(positions.device()));
  auto inverse = at::pow(c.rope_theta, -steps / double(c.head_dim));
  auto angle = at::outer(positions.to(at::kDouble), inverse); // [tokens, head_dim / 2]
  angle = at::cat({angle, angle}, -1).unsqueeze(1);
  return {angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

/// Rotates halves, as Hugging Face's Llama does. x: [tokens, heads, head_dim]
at::Tensor rotate(const at::Tensor& x, const rotary_table& table) {
  const auto half = x.size(-1) / 2;
  auto turned = at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
  return x * table.cos.to(x.scalar_type()) + turned * table.sin.to(x.scalar_type());
}

/// The additive mask of a group, from `visible_until`; undefined where causality alone says it all.
at::Tensor mask_of(const sequence_group& g, const at::Device& device, at::ScalarType type) {
  const auto length = static_cast<std::int32_t>(g.length);
  if (std::all_of(g.visible_until.begin(), g.visible_until.end(),
                  [=](auto v) { return v >= length; }))
    return {};
  auto until = int_tensor(g.visible_until, device).view({g.rows, 1, g.length});
  auto index = at::arange(g.length, until.options());
  auto query = index.view({1, g.length, 1});
  auto key = index.view({1, 1, g.length});
  auto seen = (key <= query) & (query < until);
  auto mask = at::zeros(seen.sizes(), at::TensorOptions(type).device(device));
  return mask.masked_fill_(seen.logical_not(), -std::numeric_limits<double>::infinity())
      .unsqueeze(1);
}

/// q: [tokens, heads, head_dim], k and v: [tokens, kv_heads, head_dim] → [tokens, heads·head_dim]
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const std::vector<group_view>& groups) {
  std::vector<at::Tensor> outputs;
  for (const auto& g : groups) {
    auto part = [&](const at::Tensor& x) { // [rows, heads, length, head_dim]
      return x.narrow(0, g.begin, g.rows * g.length)
          .view({g.rows, g.length, x.size(1), x.size(2)})
          .transpose(1, 2);
    };
    auto mask = g.mask.defined() ? std::optional<at::Tensor>(g.mask) : std::nullopt;
    auto out =
        at::scaled_dot_product_attention(part(q), part(k), part(v), mask, 0.0, !mask.has_value(),
                                         std::nullopt, q.size(1) != k.size(1));
    outputs.push_back(out.transpose(1, 2).reshape({g.rows * g.length, -1}));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

struct step {
  const model_config& config;
  at::ScalarType compute;
  rotary_table table;
  std::vector<group_view> groups;

  at::Tensor product(const at::Tensor& x, const at::Tensor& weight) const {
    return at::linear(x.to(compute), weight.to(compute));
  }

  at::Tensor attention(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    auto split =
        product(x, layer.qkv)
            .view({x.size(0), config.num_heads + 2 * config.num_kv_heads, config.head_dim})
            .split_with_sizes({config.num_heads, config.num_kv_heads, config.num_kv_heads}, 1);
    auto mixed = attend(rotate(split[0], table), rotate(split[1], table), split[2], groups);
    return product(mixed, layer.output);
  }

  at::Tensor mlp(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    auto halves = product(x, layer.gate_up).chunk(2, -1);
    return product(at::silu(halves[0]) * halves[1], layer.down);
  }
};

} // namespace

at::Tensor transformer::forward(const std::vector<sequence_group>& batch,
                                const at::Tensor& selected, dtype compute) const {
  const auto& w = *weights();
  const auto& c = w.config;
  const auto device = w.embedding.device();
  const auto type = compute == dtype::bfloat16 ? at::kBFloat16 : at::kFloat;

  std::vector<std::int32_t> ids, positions;
  std::vector<group_view> groups;
  for (const auto& g : batch) {
    groups.push_back(
        {static_cast<std::int64_t>(ids.size()), g.rows, g.length, mask_of(g, device, type)});
    ids.insert(ids.end(), g.ids.begin(), g.ids.end());
    positions.insert(positions.end(), g.positions.begin(), g.positions.end());
  }
  step s{c, type, rotary(int_tensor(positions, device), c), std::move(groups)};

  auto x = at::embedding(w.embedding, int_tensor(ids, device)); // [tokens, d] float32
  for (const auto& layer : w.layers) {
    x = x + s.attention(rms_norm(x, layer.attention_norm, c.rms_norm_eps), layer);
    x = x + s.mlp(rms_norm(x, layer.mlp_norm, c.rms_norm_eps), layer);
  }
  if (selected.defined()) x = x.index_select(0, selected);
  x = rms_norm(x, w.final_norm, c.rms_norm_eps);
  return s.product(x, w.head).to(at::kFloat);
}

} // namespace banyan
