#include "trainer/grpo.hpp"

#include <algorithm>

#include <ATen/ATen.h>

namespace banyan {

grpo_figures& grpo_figures::operator+=(const grpo_figures& more) {
  for (auto part :
       {&grpo_figures::terms, &grpo_figures::loss, &grpo_figures::kl, &grpo_figures::clipped,
        &grpo_figures::importance, &grpo_figures::lag, &grpo_figures::entropy})
    this->*part += more.*part;
  kl_max = std::max(kl_max, more.kl_max);
  return *this;
}

namespace {

/// Its exponential is the largest that float32 holds with room to spare: where an overflow was cut
/// off, the gradient would be 0 times infinity.
constexpr double largest_distance = 80;

/// k3 of every token [terms], before the bound.
at::Tensor k3_of(const at::Tensor& distance, double bound) {
  const auto x = bound > 0 ? distance.clamp_max(largest_distance) : distance;
  return x.exp() - x - 1;
}

} // namespace

at::Tensor grpo_loss(const at::Tensor& logprobs, const at::Tensor& old, const at::Tensor& reference,
                     const grpo_terms& terms, const grpo_options& o, grpo_figures& figures) {
  const auto lag = old - terms.sampled;
  const auto importance =
      o.importance_cap > 0 ? lag.exp().clamp_max(o.importance_cap) : at::ones_like(terms.sampled);
  const auto ratio = (logprobs - old).exp();
  const auto plain = ratio * terms.advantages;
  const auto clipped = ratio.clamp(1 - o.clip_low, 1 + o.clip_high) * terms.advantages;
  auto loss = -importance * at::minimum(plain, clipped);
  if (o.kl > 0 && reference.defined()) {
    const auto whole = k3_of(reference - logprobs, o.kl_max);
    const auto k3 = o.kl_max > 0 ? whole.clamp_max(o.kl_max) : whole;
    loss = loss + o.kl * k3;
    figures.kl += k3.detach().sum().item<double>();
    figures.kl_max = std::max(figures.kl_max, whole.detach().max().item<double>());
  }
  const auto total = (loss * terms.weights).sum();
  figures.terms += static_cast<double>(logprobs.numel());
  figures.loss += total.item<double>();
  figures.clipped += (clipped < plain).sum().item<double>();
  figures.importance += importance.sum().item<double>();
  figures.lag += lag.abs().sum().item<double>();
  return total;
}

} // namespace banyan
