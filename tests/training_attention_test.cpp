#include "model/training_attention.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

struct shape {
  std::int64_t heads, kv_heads, head_dim;
};

model_config config_of(shape s) {
  model_config c;
  c.vocab_size = 11;
  c.num_heads = s.heads;
  c.num_kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  return c;
}

/// A plain sequence of 3 tokens, a tree of 70 (40 trunk, 20 spawn block, 10 in its place), one
/// of 1.
sequence_batch trees() {
  sequence_batch b;
  b.starts = {0, 3, 73, 74};
  b.positions = {0, 1, 2};
  b.visible_until.assign(3, visible_always);
  for (int i = 0; i < 60; ++i) b.positions.push_back(i);
  for (int i = 0; i < 10; ++i) b.positions.push_back(40 + i);
  for (int i = 0; i < 70; ++i) b.visible_until.push_back(i >= 40 && i < 60 ? 60 : visible_always);
  b.positions.push_back(0);
  b.visible_until.push_back(visible_always);
  b.ids.assign(b.positions.size(), 1);
  return b;
}

/// Attention written out in double precision, one head and one query at a time.
at::Tensor reference(const at::Tensor& qkv, const sequence_batch& b, const model_config& c) {
  const auto half = c.head_dim / 2;
  auto x = qkv.to(at::kDouble).view({qkv.size(0), c.num_heads + 2 * c.num_kv_heads, c.head_dim});
  auto turn = [&](const at::Tensor& row, std::int64_t position) {
    auto angle =
        double(position)
        * at::pow(c.rope_theta, -at::arange(0, c.head_dim, 2, at::kDouble) / double(c.head_dim));
    auto low = row.narrow(0, 0, half), high = row.narrow(0, half, half);
    return at::cat(
        {low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()});
  };
  std::vector<at::Tensor> rows;
  for (std::size_t s = 0; s + 1 < b.starts.size(); ++s)
    for (auto i = b.starts[s]; i < b.starts[s + 1]; ++i)
      for (std::int64_t h = 0; h < c.num_heads; ++h) {
        const auto kv = h * c.num_kv_heads / c.num_heads;
        std::vector<at::Tensor> keys, values;
        for (auto j = b.starts[s]; j <= i; ++j) {
          if (b.visible_until[std::size_t(j)] <= i - b.starts[s]) continue;
          keys.push_back(turn(x[j][c.num_heads + kv], b.positions[std::size_t(j)]));
          values.push_back(x[j][c.num_heads + c.num_kv_heads + kv]);
        }
        auto scores = at::mv(at::stack(keys), turn(x[i][h], b.positions[std::size_t(i)]));
        auto weight = at::softmax(scores / std::sqrt(double(c.head_dim)), 0);
        rows.push_back(at::mv(at::stack(values).t(), weight));
      }
  return at::stack(rows).view({qkv.size(0), c.num_heads * c.head_dim});
}

struct result {
  at::Tensor output, gradient;
};

template <class Attention>
result run(const at::Tensor& qkv, const Attention& attention) {
  auto leaf = qkv.detach().clone().requires_grad_(true);
  auto out = attention(leaf);
  auto slope = at::sin(at::arange(out.numel(), at::kFloat)).view(out.sizes()).to(out.scalar_type());
  (out * slope).sum().backward();
  return {out.detach().to(at::kDouble), leaf.grad().to(at::kDouble)};
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

void compare(shape s, at::ScalarType type, double tolerance) {
  const auto c = config_of(s);
  const auto b = trees();
  auto qkv = at::sin(at::arange(74 * (s.heads + 2 * s.kv_heads) * s.head_dim, at::kFloat) * 1.7)
                 .view({74, -1})
                 .to(type);
  auto ours = run(qkv, training_attention(b, c, at::kCPU));
  auto theirs = run(qkv, [&](const at::Tensor& x) { return reference(x, b, c); });
  CHECK(difference(ours.output, theirs.output) < tolerance);
  CHECK(difference(ours.gradient, theirs.gradient) < tolerance * 5);
}

} // namespace

TEST_CASE("training attention equals attention written out in double precision", "[model]") {
  compare({4, 4, 32}, at::kFloat, 1e-5);
  compare({4, 2, 16}, at::kFloat, 1e-5);
  compare({2, 1, 64}, at::kFloat, 1e-5);
  compare({1, 1, 128}, at::kFloat, 1e-5);
}

TEST_CASE("training attention in bfloat16 stays within its rounding", "[model]") {
  compare({4, 4, 32}, at::kBFloat16, 3e-2);
}

TEST_CASE("a head size that the kernel does not take goes through padded rows to the same result",
          "[model]") {
  compare({2, 2, 8}, at::kFloat, 1e-5);
  compare({4, 2, 24}, at::kFloat, 1e-5);
}
