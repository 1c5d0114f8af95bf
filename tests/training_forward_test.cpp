#include "model/transformer.hpp"

#include "bench/counting_allocator.hpp"
#include "tests/decode_fixture.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include <array>

using namespace banyan;

namespace {

struct learnt {
  at::Tensor loss;
  std::vector<at::Tensor> gradients;
  std::size_t kept = 0; ///< bytes between the two passes
};

/// Two sequences; in the first one a block in the middle is hidden from what follows.
sequence_batch two_sequences(const model_config& c, std::int32_t length) {
  sequence_batch b;
  b.ids = random_ids(static_cast<std::size_t>(length), c);
  const auto half = length / 2, third = length / 3;
  b.starts = {0, half, length};
  for (std::int32_t i = 0; i < length; ++i) {
    b.positions.push_back(i < half ? i : i - half);
    b.visible_until.push_back(i >= third && i < third + 5 ? third + 5 : visible_always);
  }
  return b;
}

learnt learn(const model_config& c, std::int32_t length, dtype compute, bool recompute) {
  auto w = *sharp_weights(c);
  std::vector<at::Tensor> leaves{w.embedding, w.final_norm};
  for (auto& l : w.layers)
    leaves.insert(leaves.end(), {l.attention_norm, l.qkv, l.output, l.mlp_norm, l.gate_up, l.down});
  for (auto& leaf : leaves) leaf.requires_grad_(true);
  w.head = w.embedding;
  const transformer model(std::make_shared<const model_weights>(w));
  const counting_allocator memory;
  const auto before = memory.bytes();
  const auto logits = model.forward(two_sequences(c, length), {}, compute, recompute);
  learnt result;
  result.loss = at::cross_entropy_loss(logits, at::arange(length) % c.vocab_size);
  result.kept = memory.bytes() - before;
  result.loss.backward();
  for (const auto& leaf : leaves) result.gradients.push_back(leaf.grad());
  return result;
}

} // namespace

TEST_CASE("layers that run again give the same gradients to the last bit", "[model]") {
  const auto compute = GENERATE(dtype::float32, dtype::bfloat16);
  const auto plain = learn(tiny_shape(), 60, compute, false);
  const auto again = learn(tiny_shape(), 60, compute, true);
  CHECK(at::equal(plain.loss, again.loss));
  REQUIRE(plain.gradients.size() == 14);
  for (std::size_t i = 0; i < plain.gradients.size(); ++i) {
    CHECK(plain.gradients[i].abs().max().item<float>() > 0);
    CHECK(at::equal(plain.gradients[i], again.gradients[i]));
  }
}

TEST_CASE("layers that run again keep little more than their input", "[model]") {
  auto c = tiny_shape();
  c.num_layers = 8;
  const auto plain = learn(c, 400, dtype::float32, false).kept;
  const auto again = learn(c, 400, dtype::float32, true).kept;
  const std::size_t inputs = 8 * 400 * static_cast<std::size_t>(c.hidden_size) * sizeof(float);
  const std::size_t around = // embedding, last norm, logits and their softmax, tables
      400 * static_cast<std::size_t>(4 * c.hidden_size + 4 * c.vocab_size) * sizeof(float);
  CHECK(again < inputs + around);
  CHECK(3 * again < plain);
}

TEST_CASE("a frozen part of a layer that runs again gets no gradient", "[model]") {
  auto w = *sharp_weights(tiny_shape());
  for (auto& l : w.layers) l.qkv.requires_grad_(true);
  const transformer model(std::make_shared<const model_weights>(w));
  const auto gradients = [&](bool recompute) {
    for (auto& l : w.layers) l.qkv.mutable_grad().reset();
    model.forward(two_sequences(w.config, 30), {}, dtype::float32, recompute)
        .sin()
        .sum()
        .backward();
    CHECK_FALSE(w.layers[0].down.grad().defined());
    return at::stack({w.layers[0].qkv.grad(), w.layers[1].qkv.grad()});
  };
  const auto plain = gradients(false);
  CHECK(at::equal(gradients(true), plain));
}

TEST_CASE("the training pass agrees with the model written out in double precision", "[model]") {
  auto c = tiny_shape();
  c.intermediate_size = 37; // no multiple of any width of a vector
  const auto ids = random_ids(50, c);
  sequence_batch b{ids, {}, std::vector(50, visible_always), {0, 50}};
  b.positions.resize(50);
  std::iota(b.positions.begin(), b.positions.end(), 0);
  auto w = *sharp_weights(c);
  const auto slope = at::sin(at::arange(50 * c.vocab_size)).view({50, -1});
  const auto learn = [&](auto&& logits_of) {
    for (auto& l : w.layers) {
      l.gate_up.requires_grad_(true).mutable_grad().reset();
      l.qkv.requires_grad_(true).mutable_grad().reset();
    }
    const auto logits = logits_of();
    (logits * slope).sum().backward();
    const auto& l = w.layers[0];
    return std::array{logits.detach().to(at::kDouble), l.gate_up.grad(), l.qkv.grad()};
  };
  const auto ours = learn([&] {
    return transformer(std::make_shared<const model_weights>(w)).forward(b, {}, dtype::float32);
  });
  const auto reference = learn([&] { return reference_logits(w, ids); });
  for (std::size_t i = 0; i < ours.size(); ++i)
    CHECK(largest_difference(ours[i], reference[i])
          < 2e-5 * reference[i].abs().max().item<double>());
}
