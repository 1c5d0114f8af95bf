#pragma once

#include "model/kv_cache.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include <ATen/ATen.h>

namespace banyan {

using token_ids = std::vector<std::int32_t>;

/// A model small enough for tests whose attention is not almost uniform.
inline std::shared_ptr<const model_weights> sharp_weights(const model_config& c,
                                                          std::uint64_t seed = 1) {
  auto w = random_weights(c, seed);
  w.embedding.mul_(40);
  for (auto& layer : w.layers) {
    layer.qkv.mul_(3);
    layer.attention_norm.add_(0.1 * at::arange(c.hidden_size).sin());
    layer.mlp_norm.add_(0.1 * at::arange(c.hidden_size).cos());
  }
  w.final_norm.add_(0.1 * at::arange(c.hidden_size).sin());
  return std::make_shared<const model_weights>(std::move(w));
}

inline model_config tiny_shape() {
  return {.vocab_size = 37,
          .hidden_size = 48,
          .num_layers = 2,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 16,
          .intermediate_size = 40,
          .max_positions = 1024};
}

/// The same with other heads.
inline model_config tiny_shape(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  auto c = tiny_shape();
  c.num_heads = heads;
  c.num_kv_heads = kv_heads;
  c.head_dim = head_dim;
  return c;
}

inline token_ids random_ids(std::size_t count, const model_config& c, unsigned seed = 1) {
  std::mt19937 random(seed);
  token_ids ids(count);
  for (auto& id : ids)
    id = static_cast<std::int32_t>(random() % static_cast<unsigned>(c.vocab_size));
  return ids;
}

/// The model written down once more, with full attention in float64 and no cache: [tokens, vocab].
inline at::Tensor reference_logits(const model_weights& weights, const token_ids& ids) {
  const auto& c = weights.config;
  const auto n = static_cast<std::int64_t>(ids.size());
  const auto wide = [](const at::Tensor& t) { return t.to(at::kCPU, at::kDouble); };
  const auto norm = [&](const at::Tensor& x, const at::Tensor& w) {
    return x * (x.square().mean(-1, true) + c.rms_norm_eps).rsqrt() * wide(w);
  };
  const auto half = c.head_dim / 2;
  const auto options = at::TensorOptions(at::kDouble);
  const auto inverse =
      at::pow(c.rope_theta, at::arange(half, options) * (-2.0 / double(c.head_dim)));
  const auto angle = at::outer(at::arange(n, options), inverse).unsqueeze(1); // [tokens, 1, half]
  const auto rotate = [&](const at::Tensor& x) { // [tokens, heads, head_dim]
    const auto a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
    return at::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, -1);
  };
  const auto future = at::ones({n, n}, at::kBool).triu(1);

  auto x = wide(weights.embedding).index_select(0, at::tensor(ids));
  for (const auto& layer : weights.layers) {
    auto qkv = norm(x, layer.attention_norm).matmul(wide(layer.qkv).t());
    qkv = qkv.view({n, c.num_heads + 2 * c.num_kv_heads, c.head_dim});
    const auto repeat = c.num_heads / c.num_kv_heads;
    const auto q = rotate(qkv.narrow(1, 0, c.num_heads));
    const auto k = rotate(qkv.narrow(1, c.num_heads, c.num_kv_heads)).repeat_interleave(repeat, 1);
    const auto v =
        qkv.narrow(1, c.num_heads + c.num_kv_heads, c.num_kv_heads).repeat_interleave(repeat, 1);
    auto scores = at::einsum("ihd,jhd->hij", {q, k}) / std::sqrt(double(c.head_dim));
    scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity()).softmax(-1);
    x = x + at::einsum("hij,jhd->ihd", {scores, v}).reshape({n, -1}).matmul(wide(layer.output).t());
    const auto gate_up =
        norm(x, layer.mlp_norm).matmul(wide(layer.gate_up).t()).split(c.intermediate_size, -1);
    x = x + (at::silu(gate_up[0]) * gate_up[1]).matmul(wide(layer.down).t());
  }
  return norm(x, weights.final_norm).matmul(wide(weights.head).t());
}

/// A transformer with a cache whose blocks are handed out in a shuffled order.
class decoder {
public:
  struct sequence {
    std::vector<std::int32_t> blocks;
    std::int32_t length = 0;
  };
  struct piece {
    sequence* of;
    token_ids ids;
  };

  static constexpr std::int64_t max_tokens = 2048;

  /// Where the weights are.
  decoder(std::shared_ptr<const model_weights> w, std::int32_t block_size,
          std::int32_t num_blocks = 512)
      : type(w->embedding.scalar_type() == at::kFloat ? dtype::float32 : dtype::bfloat16),
        cache(w->config, {num_blocks, block_size, max_tokens}, type, w->embedding.device().str()),
        model(std::make_shared<const transformer>(std::move(w))) {
    free_.resize(static_cast<std::size_t>(num_blocks));
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), std::mt19937(7));
    // Memory that nobody wrote must not matter.
    cache.keys.fill_(std::numeric_limits<float>::quiet_NaN());
    cache.values.fill_(std::numeric_limits<float>::quiet_NaN());
  }

  /// Logits of all tokens are wanted.
  decode_batch batch(const std::vector<piece>& pieces) {
    decode_batch b;
    b.starts = b.block_starts = {0};
    const auto size = static_cast<std::int32_t>(cache.block_size());
    for (const auto& [s, ids] : pieces) {
      for (auto id : ids) {
        if (s->length % size == 0) s->blocks.push_back(take_block());
        b.ids.push_back(id);
        b.positions.push_back(s->length);
        b.slots.push_back(s->blocks.back() * size + s->length++ % size);
        b.wanted.push_back(static_cast<std::int32_t>(b.wanted.size()));
      }
      b.starts.push_back(static_cast<std::int32_t>(b.ids.size()));
      b.blocks.insert(b.blocks.end(), s->blocks.begin(), s->blocks.end());
      b.block_starts.push_back(static_cast<std::int32_t>(b.blocks.size()));
    }
    return b;
  }

  at::Tensor decode(const std::vector<piece>& pieces) {
    return model->decode(batch(pieces), cache);
  }

  /// A new sequence's logits, fed in chunks of this length.
  at::Tensor prefill(const token_ids& ids, std::size_t chunk) {
    sequence s;
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < ids.size(); i += chunk) {
      const auto end = std::min(ids.size(), i + chunk);
      parts.push_back(decode({{&s, token_ids(ids.data() + i, ids.data() + end)}}));
    }
    return at::cat(parts);
  }

  dtype type;
  kv_cache cache;
  std::shared_ptr<const transformer> model; ///< may be replaced by another one of its shape

private:
  std::int32_t take_block() {
    const auto block = free_.back();
    free_.pop_back();
    return block;
  }

  std::vector<std::int32_t> free_;
};

/// How far decoding a text in chunks is from the reference, in units of the largest logit.
inline double relative_error(std::shared_ptr<const model_weights> w, std::int32_t block_size,
                             std::size_t length, std::size_t chunk) {
  const auto ids = random_ids(length, w->config);
  const auto expected = reference_logits(*w, ids);
  const auto logits = decoder(w, block_size, 1024).prefill(ids, chunk).to(at::kDouble);
  return logits.sizes() == expected.sizes()
             ? ((logits - expected).abs().max() / expected.abs().max()).item<double>()
             : std::numeric_limits<double>::infinity();
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

} // namespace banyan
