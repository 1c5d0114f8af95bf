#include "model/transformer.hpp"

#include "model/device.hpp"
#include "tests/decode_fixture.hpp"
#include "trainer/optimizer.hpp"

#include <catch2/catch.hpp>

// Training on a GPU against the same on the CPU, whose kernels are other ones.

using namespace banyan;

namespace {

/// Of 300, 1 and 99 tokens. The first is a tree: 60 are seen by all, 150 are a block that what
/// follows does not see.
sequence_batch trees(const model_config& c) {
  sequence_batch b;
  b.ids = random_ids(400, c);
  b.starts = {0, 300, 301, 400};
  for (std::int32_t i = 0; i < 300; ++i) {
    b.positions.push_back(i < 210 ? i : i - 150);
    b.visible_until.push_back(i >= 60 && i < 210 ? 210 : visible_always);
  }
  for (std::int32_t i = 300; i < 400; ++i) {
    b.positions.push_back(i == 300 ? 0 : i - 301);
    b.visible_until.push_back(visible_always);
  }
  return b;
}

struct learnt {
  double loss = 0;
  std::vector<at::Tensor> gradients; // on the CPU
};

learnt learn(const model_config& c, const std::string& device, dtype compute, bool recompute) {
  auto w = copy_weights(*sharp_weights(c), dtype::float32, device);
  std::vector<at::Tensor> leaves{w.embedding, w.final_norm};
  for (auto& l : w.layers)
    leaves.insert(leaves.end(), {l.attention_norm, l.qkv, l.output, l.mlp_norm, l.gate_up, l.down});
  for (auto& leaf : leaves) leaf.requires_grad_(true);
  w.head = w.embedding;
  const transformer model(std::make_shared<const model_weights>(w));
  const auto logits = model.forward(trees(c), {}, compute, recompute);
  const auto loss =
      at::cross_entropy_loss(logits, (at::arange(400) % c.vocab_size).to(logits.device()));
  loss.backward();
  learnt result{loss.item<double>(), {}};
  for (const auto& leaf : leaves) result.gradients.push_back(leaf.grad().to(at::kCPU));
  return result;
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

} // namespace

TEST_CASE("a GPU finds the gradients that the CPU finds", "[cuda]") {
  const auto [heads, kv_heads, head_dim] =
      GENERATE(std::tuple(4, 4, 32), std::tuple(4, 2, 16), std::tuple(2, 1, 64),
               std::tuple(1, 1, 128), std::tuple(2, 2, 12));
  const bool recompute = GENERATE(false, true);
  CAPTURE(heads, kv_heads, head_dim, recompute);
  const auto c = tiny_shape(heads, kv_heads, head_dim);
  const auto expected = learn(c, "cpu", dtype::float32, false);
  const auto found = learn(c, "cuda", dtype::float32, recompute);
  CHECK(found.loss == Approx(expected.loss).epsilon(1e-5));
  for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
    CAPTURE(i);
    CHECK(apart(found.gradients[i], expected.gradients[i]) < 1e-4);
  }
}

TEST_CASE("a GPU finds them in bfloat16 within its rounding", "[cuda]") {
  const auto c = tiny_shape(4, 2, 32);
  const auto expected = learn(c, "cpu", dtype::float32, false);
  const auto found = learn(c, "cuda", dtype::bfloat16, false);
  CHECK(found.loss == Approx(expected.loss).epsilon(0.02));
  for (std::size_t i = 0; i < expected.gradients.size(); ++i) {
    CAPTURE(i);
    CHECK(apart(found.gradients[i], expected.gradients[i]) < 0.1);
  }
}

TEST_CASE("optimisers do on a GPU what they do on the CPU", "[cuda]") {
  const auto kind = GENERATE(optimizer_kind::adamw, optimizer_kind::muon);
  const auto c = tiny_shape(4, 2, 32);
  const auto weights_after = [&](const std::string& device) {
    auto w = copy_weights(*sharp_weights(c), dtype::float32, device);
    optimizer update(w, {.kind = kind});
    for (int step = 0; step < 3; ++step) {
      at::Tensor loss;
      for (const auto& part : named_views(w)) {
        const auto term = (part.value * part.value).sum();
        loss = loss.defined() ? loss + term : term;
      }
      loss.backward();
      update.step(0.01);
    }
    std::vector<at::Tensor> all;
    for (const auto& part : named_views(w)) all.push_back(part.value.detach().to(at::kCPU));
    return all;
  };
  const auto expected = weights_after("cpu"), found = weights_after("cuda");
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(apart(found[i], expected[i]) < 1e-4);
}
