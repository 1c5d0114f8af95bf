#include "trainer/optimizer.hpp"

#include "model/weights.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

/// Weights that AdamW updates one by one.
struct adamw_slot {
  std::string name;
  at::Tensor weight, first, second;
  double rate = 1, decay = 0; ///< share of the learning rate; weight decay
};

/// Matrices of one shape, orthogonalised in one batch. Tall ones lie transposed.
struct muon_batch {
  struct part {
    at::Tensor leaf; ///< holds the gradient
    std::int64_t row = 0, rows = 0;
    bool tall = false;
    at::Tensor of(const at::Tensor& whole) const { // [short side, long side]
      auto view = whole.narrow(0, row, rows);
      return tall ? view.t() : view;
    }
  };
  std::vector<part> parts;
  at::Tensor momentum; // [parts, short side, long side]

  at::Tensor gradients() const {
    std::vector<at::Tensor> all;
    for (const auto& p : parts) all.push_back(p.of(p.leaf.grad()));
    return at::stack(all);
  }
};

/// The nearest semi-orthogonal matrix, roughly: singular values end between 0.7 and 1.2.
at::Tensor orthogonalise(at::Tensor x, int steps, dtype compute) { // x: [batch, short, long]
  x = x / (x.norm(2, at::IntArrayRef{1, 2}, true) + 1e-7);
  if (compute == dtype::bfloat16) x = x.to(at::kBFloat16);
  for (int i = 0; i < steps; ++i) {
    auto a = at::bmm(x, x.transpose(1, 2));
    auto b = at::baddbmm(a, a, a, -4.7750, 2.0315);
    x = at::baddbmm(x, b, x, 3.4445, 1);
  }
  return x.to(at::kFloat);
}

at::Tensor gradient_of(const at::Tensor& leaf) {
  if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros_like(leaf);
  return leaf.grad();
}

} // namespace

struct optimizer::impl {
  optimizer_options options;
  std::vector<at::Tensor> leaves;
  std::vector<adamw_slot> slots;
  std::vector<muon_batch> batches;
  at::Tensor count = at::zeros({1}, at::kFloat); ///< updates so far

  void add_adamw(std::string name, const at::Tensor& weight, double rate, double decay) {
    auto zeros = [&] { return at::zeros_like(weight, at::MemoryFormat::Contiguous); };
    slots.push_back({std::move(name), weight, zeros(), zeros(), rate, decay});
  }

  void add_matrix(std::string name, const at::Tensor& leaf, std::vector<std::int64_t> rows) {
    if (options.kind == optimizer_kind::adamw)
      return add_adamw(std::move(name), leaf, 1, options.adamw_decay);
    std::int64_t row = 0;
    for (auto r : rows) {
      add_muon({leaf, row, r, r > leaf.size(1)});
      row += r;
    }
  }

  void add_muon(muon_batch::part p) {
    auto fits = [&](const muon_batch& b) {
      return b.parts[0].of(b.parts[0].leaf).sizes() == p.of(p.leaf).sizes();
    };
    auto found = std::find_if(batches.begin(), batches.end(), fits);
    if (found == batches.end()) found = batches.insert(batches.end(), muon_batch{});
    found->parts.push_back(std::move(p));
  }

  double gradient_norm() const {
    const at::NoGradGuard no_grad;
    at::Tensor sum = at::zeros({}, leaves[0].options());
    for (const auto& leaf : leaves) sum += gradient_of(leaf).square().sum();
    return std::sqrt(sum.item<double>());
  }

  double clip() {
    const auto norm = gradient_norm();
    if (std::isfinite(norm) && options.clip_norm > 0 && norm > options.clip_norm)
      for (auto& leaf : leaves) leaf.mutable_grad().mul_(options.clip_norm / norm);
    return norm;
  }

  void update(adamw_slot& s, double rate) {
    const auto t = count.item<double>();
    const auto& g = s.weight.grad();
    s.first.lerp_(g, 1 - options.beta1);
    s.second.mul_(options.beta2).addcmul_(g, g, 1 - options.beta2);
    const auto first_scale = 1 - std::pow(options.beta1, t);
    const auto second_scale = std::sqrt(1 - std::pow(options.beta2, t));
    if (s.decay > 0) s.weight.mul_(1 - rate * s.rate * s.decay);
    auto denominator = s.second.sqrt().div_(second_scale).add_(options.epsilon);
    s.weight.addcdiv_(s.first, denominator, -rate * s.rate / first_scale);
  }

  void update(muon_batch& b, double rate) {
    auto g = b.gradients();
    b.momentum.lerp_(g, 1 - options.momentum);
    auto direction = orthogonalise(g.lerp(b.momentum, options.momentum),
                                   options.newton_schulz_steps, options.compute);
    const auto scale = rate * 0.2 * std::sqrt(double(b.momentum.size(2)));
    for (std::size_t i = 0; i < b.parts.size(); ++i) {
      auto weight = b.parts[i].of(b.parts[i].leaf);
      weight.mul_(1 - rate * options.muon_decay);
      weight.sub_(direction[static_cast<std::int64_t>(i)], scale);
    }
  }
};

optimizer::optimizer(model_weights& w, optimizer_options options)
    : impl_(new impl{.options = options}) {
  auto& s = *impl_;
  const auto& c = w.config;
  const auto q = c.num_heads * c.head_dim;
  const auto kv = c.num_kv_heads * c.head_dim;
  const auto f = c.intermediate_size;
  s.add_adamw("embedding", w.embedding, options.embedding_rate, 0);
  for (std::size_t i = 0; i < w.layers.size(); ++i) {
    auto& l = w.layers[i];
    const auto at = "layers." + std::to_string(i) + ".";
    s.add_adamw(at + "attention_norm", l.attention_norm, 1, 0);
    s.add_adamw(at + "mlp_norm", l.mlp_norm, 1, 0);
    s.add_matrix(at + "qkv", l.qkv, {q, kv, kv});
    s.add_matrix(at + "output", l.output, {c.hidden_size});
    s.add_matrix(at + "gate_up", l.gate_up, {f, f});
    s.add_matrix(at + "down", l.down, {c.hidden_size});
    for (auto* t : {&l.qkv, &l.output, &l.gate_up, &l.down}) s.leaves.push_back(*t);
  }
  s.add_adamw("final_norm", w.final_norm, 1, 0);
  if (!c.tie_embeddings) s.add_adamw("head", w.head, options.embedding_rate, 0);
  for (auto& b : s.batches)
    b.momentum = at::zeros_like(at::stack([&] {
      std::vector<at::Tensor> all;
      for (auto& p : b.parts) all.push_back(p.of(p.leaf));
      return all;
    }()));
  for (auto& slot : s.slots)
    if (slot.weight.dim() == 1 || slot.name == "embedding" || slot.name == "head")
      s.leaves.push_back(slot.weight);
  for (auto& leaf : s.leaves) leaf.requires_grad_(true);
}

optimizer::~optimizer() = default;

double optimizer::step(double rate) {
  at::NoGradGuard no_grad;
  const auto norm = impl_->clip();
  if (std::isfinite(norm)) {
    impl_->count += 1;
    for (auto& s : impl_->slots) impl_->update(s, rate);
    for (auto& b : impl_->batches) impl_->update(b, rate);
  }
  forget_gradients();
  return norm;
}

double optimizer::gradient_norm() const { return impl_->gradient_norm(); }

void optimizer::forget_gradients() {
  for (auto& leaf : impl_->leaves) leaf.mutable_grad().reset();
}

std::map<std::string, at::Tensor> optimizer::state() const {
  std::map<std::string, at::Tensor> all{{"count", impl_->count}};
  for (const auto& s : impl_->slots) {
    all["adamw.first." + s.name] = s.first;
    all["adamw.second." + s.name] = s.second;
  }
  for (std::size_t i = 0; i < impl_->batches.size(); ++i)
    all["muon.momentum." + std::to_string(i)] = impl_->batches[i].momentum;
  return all;
}

void optimizer::restore(const std::map<std::string, at::Tensor>& saved) {
  at::NoGradGuard no_grad;
  for (auto& [name, mine] : state()) {
    auto found = saved.find(name);
    if (found == saved.end()) throw std::invalid_argument("optimiser state lacks '" + name + "'");
    if (found->second.sizes() != mine.sizes())
      throw std::invalid_argument("optimiser state '" + name + "' has another shape");
    mine.copy_(found->second);
  }
}

} // namespace banyan
