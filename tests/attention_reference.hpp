#pragma once

#include "model/training_attention.hpp"
#include "model/transformer.hpp"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

namespace banyan {

struct shape {
  std::int64_t heads, kv_heads, head_dim;
};

inline model_config config_of(shape s) {
  model_config c;
  c.vocab_size = 11;
  c.num_heads = s.heads;
  c.num_kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  return c;
}

/// A plain sequence of 3 tokens; a tree of 190 (40 trunk, 100 spawn block, 50 in its place), in
/// which whole tiles of keys are hidden from the last queries; one token.
inline sequence_batch trees() {
  sequence_batch b;
  b.starts = {0, 3, 193, 194};
  b.positions = {0, 1, 2};
  b.visible_until.assign(3, visible_always);
  for (int i = 0; i < 140; ++i) b.positions.push_back(i);
  for (int i = 0; i < 50; ++i) b.positions.push_back(40 + i);
  for (int i = 0; i < 190; ++i)
    b.visible_until.push_back(i >= 40 && i < 140 ? 140 : visible_always);
  b.positions.push_back(0);
  b.visible_until.push_back(visible_always);
  b.ids.assign(b.positions.size(), 1);
  return b;
}

/// Attention written out in double precision, one head of one sequence at a time.
inline at::Tensor reference(const at::Tensor& qkv, const sequence_batch& b, const model_config& c) {
  const auto x = qkv.to(at::kDouble).view({qkv.size(0), -1, c.head_dim}).transpose(0, 1);
  const auto steps = at::arange(0, c.head_dim, 2, at::kDouble) / double(c.head_dim);
  const auto angle =
      at::outer(at::tensor(b.positions).to(at::kDouble), at::pow(c.rope_theta, -steps));
  const auto turn = [&](const at::Tensor& rows) { // [tokens, head_dim]
    const auto halves = rows.chunk(2, 1);
    return at::cat({halves[0] * angle.cos() - halves[1] * angle.sin(),
                    halves[1] * angle.cos() + halves[0] * angle.sin()},
                   1);
  };
  std::vector<at::Tensor> heads;
  for (std::int64_t h = 0; h < c.num_heads; ++h) {
    const auto kv = h * c.num_kv_heads / c.num_heads;
    const auto queries = turn(x[h]), keys = turn(x[c.num_heads + kv]);
    const auto values = x[c.num_heads + c.num_kv_heads + kv];
    std::vector<at::Tensor> rows;
    for (std::size_t s = 0; s + 1 < b.starts.size(); ++s) {
      const auto begin = b.starts[s], length = b.starts[s + 1] - begin;
      const auto part = [&](const at::Tensor& of) { return of.narrow(0, begin, length); };
      const auto until = part(at::tensor(b.visible_until)).to(at::kLong);
      const auto query = at::arange(length).unsqueeze(1), key = at::arange(length).unsqueeze(0);
      const auto seen = (key <= query) & (until.unsqueeze(0) > query);
      const auto scores = at::mm(part(queries), part(keys).t()) / std::sqrt(double(c.head_dim));
      const auto weights = scores.masked_fill(seen.logical_not(), -INFINITY).softmax(1);
      rows.push_back(at::mm(weights, part(values)));
    }
    heads.push_back(at::cat(rows));
  }
  return at::stack(heads, 1).view({qkv.size(0), -1});
}

struct result {
  at::Tensor output, gradient; // float64 on the CPU
};

template <class Attention>
result run(const at::Tensor& qkv, const Attention& attention) {
  auto leaf = qkv.detach().clone().requires_grad_(true);
  auto out = attention(leaf);
  const auto slope =
      at::sin(at::arange(out.numel(), at::kFloat)).view(out.sizes()).to(out.options());
  (out * slope).sum().backward();
  return {out.detach().to(at::kCPU, at::kDouble), leaf.grad().to(at::kCPU, at::kDouble)};
}

} // namespace banyan
