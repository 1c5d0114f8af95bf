#include "trainer/optimizer.hpp"

#include "model/weights.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

model_config tiny() {
  model_config c;
  c.vocab_size = 8;
  c.hidden_size = 8;
  c.num_layers = 2;
  c.num_heads = c.num_kv_heads = 1;
  c.head_dim = 8;
  c.intermediate_size = 24;
  return c;
}

/// Gradients that are a function of the weights, so that runs can be compared.
void set_gradients(model_weights& w, double scale) {
  at::NoGradGuard no_grad;
  auto set = [&](at::Tensor& t) { t.mutable_grad() = (at::cos(t.detach() * 7) * scale).clone(); };
  set(w.embedding);
  set(w.final_norm);
  for (auto& l : w.layers)
    for (auto* t : {&l.attention_norm, &l.qkv, &l.output, &l.mlp_norm, &l.gate_up, &l.down})
      set(*t);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.detach() - b).abs().max().item<double>();
}

/// AdamW's equations over one weight.
struct adamw_by_hand {
  at::Tensor weight, first, second;
  int t = 0;

  explicit adamw_by_hand(const at::Tensor& start)
      : weight(start.detach().clone()),
        first(at::zeros_like(weight)),
        second(at::zeros_like(weight)) {}

  void step(const at::Tensor& g, double rate, double decay) {
    ++t;
    first = 0.9 * first + 0.1 * g;
    second = 0.98 * second + 0.02 * g * g;
    const auto m = first / (1 - std::pow(0.9, t)), v = second / (1 - std::pow(0.98, t));
    weight = weight - rate * decay * weight - rate * m / (v.sqrt() + 1e-8);
  }
};

/// Five steps of Newton-Schulz with Muon's coefficients.
at::Tensor newton_schulz(const at::Tensor& g) {
  auto x = g / g.norm();
  for (int i = 0; i < 5; ++i) {
    const auto a = x.mm(x.t());
    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a.mm(a)).mm(x);
  }
  return x;
}

} // namespace

TEST_CASE("AdamW takes the step of its equations", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(
      w, {.kind = optimizer_kind::adamw, .adamw_decay = 2, .embedding_rate = 0.25, .clip_norm = 0});
  auto &norm = w.final_norm, &embedding = w.embedding, &matrix = w.layers[1].qkv;
  adamw_by_hand plain(norm), slower(embedding), decayed(matrix);
  for (int t = 1; t <= 3; ++t) {
    set_gradients(w, 0.1 * t);
    plain.step(norm.grad(), 0.01, 0);
    slower.step(embedding.grad(), 0.25 * 0.01, 0);
    decayed.step(matrix.grad(), 0.01, 2);
    o.step(0.01);
  }
  CHECK(largest_difference(norm, plain.weight) < 1e-6);
  CHECK(largest_difference(embedding, slower.weight) < 1e-6);
  CHECK(largest_difference(matrix, decayed.weight) < 1e-6);
}

TEST_CASE("Muon takes the step of its equations", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {.momentum = 0.8, .muon_decay = 0.5, .clip_norm = 0});
  auto& matrix = w.layers[1].down; // [8, 24]
  auto expected = matrix.detach().clone();
  auto momentum = at::zeros_like(expected);
  for (const std::uint64_t seed : {2, 3}) {
    const auto g = random_weights(tiny(), seed).layers[1].down;
    momentum = 0.8 * momentum + 0.2 * g;
    const auto ahead = 0.8 * momentum + 0.2 * g; // Nesterov
    expected = expected - 0.1 * 0.5 * expected - 0.1 * 0.2 * std::sqrt(24.0) * newton_schulz(ahead);
    matrix.mutable_grad() = g;
    o.step(0.1);
  }
  CHECK(largest_difference(matrix, expected) < 1e-5);
}

TEST_CASE("shared weights stay as they were while their owner learns on", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {.clip_norm = 0});
  const auto kept = share_weights(w);
  const auto before = copy_weights(w, dtype::float32, "cpu");
  CHECK(kept.head.data_ptr() == w.embedding.data_ptr()); // no copy, and still tied
  CHECK_FALSE(kept.embedding.requires_grad());
  leave_shared_memory(w);
  const auto version = kept.layers[0].qkv._version();
  set_gradients(w, 0.1);
  o.step(0.01);
  CHECK(at::equal(kept.embedding, before.embedding));
  CHECK(at::equal(kept.layers[1].down, before.layers[1].down));
  CHECK(kept.layers[0].qkv._version() == version); // a decoder need not look at it again
  CHECK_FALSE(at::equal(w.embedding, before.embedding));
  CHECK_FALSE(at::equal(w.layers[1].down, before.layers[1].down));
  CHECK(w.head.data_ptr() == w.embedding.data_ptr());
}

TEST_CASE("Muon moves a matrix along a nearly orthogonal direction of known size", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {.muon_decay = 0, .clip_norm = 0});
  const auto before = w.layers[1].down.detach().clone(); // [8, 24]
  set_gradients(w, 1);
  o.step(0.1);
  const auto change = (before - w.layers[1].down.detach()) / (0.1 * 0.2 * std::sqrt(24.0));
  const auto values = at::linalg_svdvals(change);
  CHECK(values.min().item<double>() > 0.5);
  CHECK(values.max().item<double>() < 1.3);
}

TEST_CASE("projections stored as one matrix are orthogonalised one by one", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {.muon_decay = 0, .clip_norm = 0});
  const auto before = w.layers[0].qkv.detach().clone(); // [24, 8]
  set_gradients(w, 1);
  o.step(0.1);
  for (int part = 0; part < 3; ++part) {
    auto change =
        (before - w.layers[0].qkv.detach()).narrow(0, part * 8, 8) / (0.1 * 0.2 * std::sqrt(8.0));
    CHECK(at::linalg_svdvals(change).max().item<double>() < 1.3);
    CHECK(at::linalg_svdvals(change).min().item<double>() > 0.3);
  }
}

TEST_CASE("a large gradient is clipped to the norm asked for", "[trainer]") {
  auto large = random_weights(tiny(), 1), small = random_weights(tiny(), 1);
  optimizer a(large, {.clip_norm = 1}), b(small, {.clip_norm = 0});
  set_gradients(large, 100);
  const auto norm = a.step(0.01);
  set_gradients(small, 100 / norm);
  CHECK(b.step(0.01) == Approx(1).epsilon(1e-4));
  CHECK((large.embedding.detach() - small.embedding.detach()).abs().max().item<double>() < 1e-5);
}

TEST_CASE("a gradient that is not finite changes nothing", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {});
  const auto before = w.layers[0].qkv.detach().clone();
  set_gradients(w, std::numeric_limits<double>::quiet_NaN());
  CHECK(!std::isfinite(o.step(0.01)));
  CHECK(at::equal(before, w.layers[0].qkv.detach()));
  CHECK(o.state().at("count").item<double>() == 0);
}

TEST_CASE("an optimiser goes on from its saved state as if nothing had happened", "[trainer]") {
  for (auto kind : {optimizer_kind::muon, optimizer_kind::adamw}) {
    auto straight = random_weights(tiny(), 1);
    optimizer o(straight, {.kind = kind});
    for (int i = 0; i < 3; ++i) set_gradients(straight, 1), o.step(0.01);
    auto resumed = copy_weights(straight, dtype::float32, "cpu");
    std::map<std::string, at::Tensor> saved;
    for (auto& [name, value] : o.state()) saved[name] = value.clone();
    optimizer again(resumed, {.kind = kind});
    again.restore(saved);
    set_gradients(straight, 1), o.step(0.01);
    set_gradients(resumed, 1), again.step(0.01);
    CHECK(at::equal(straight.layers[1].gate_up.detach(), resumed.layers[1].gate_up.detach()));
    CHECK(at::equal(straight.embedding.detach(), resumed.embedding.detach()));
  }
}

TEST_CASE("optimiser state of another shape is refused", "[trainer]") {
  auto w = random_weights(tiny(), 1);
  optimizer o(w, {});
  auto state = o.state();
  state["adamw.first.embedding"] = at::zeros({1});
  CHECK_THROWS_AS(o.restore(state), std::invalid_argument);
  state.erase("count");
  CHECK_THROWS_AS(o.restore(state), std::invalid_argument);
}
