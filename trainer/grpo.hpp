#pragma once

#include <ATen/core/Tensor.h>

namespace banyan {

struct grpo_options {
  double clip_low = 0.2,
         clip_high = 0.2;    ///< ε of the ratio's clip; higher above: DAPO (2503.14476)
  double kl = 0.001;         ///< β, weight of the distance to the reference; 0: none
  double kl_max = 10;        ///< largest k3 of a token; 0: any
  double importance_cap = 2; ///< largest correction from sampling to training; 0: no correction
};

/// What a batch of sampled tokens gives the loss, [terms] float32 each.
struct grpo_terms {
  at::Tensor sampled;    ///< log μ: under which the token was sampled
  at::Tensor advantages; ///< A
  at::Tensor weights;    ///< w: share of the token in the loss
};

/// Sums over terms, without gradients; divide by `terms` for means.
struct grpo_figures {
  double terms = 0;
  double loss = 0;       ///< Σ of the loss itself, weights included: it needs no division
  double kl = 0;         ///< Σ of the k3 estimates
  double kl_max = 0;     ///< the largest of them before its bound; not a sum
  double clipped = 0;    ///< terms where the clip decided
  double importance = 0; ///< Σ ρ
  double lag = 0;        ///< Σ |log π_old - log μ|: staleness and numerics together
  double entropy = 0;    ///< Σ over terms of the entropy of the row's distribution
  grpo_figures& operator+=(const grpo_figures&);
};

/// GRPO's loss (arXiv 2402.03300, eq. 3) over a batch of sampled tokens, with the weights of the
/// tokens given:
///
///   L = Σ_t w_t [ -ρ_t min(r_t A_t, clip(r_t, 1-ε_low, 1+ε_high) A_t) + β min(k3_t, K) ]
///   r_t  = exp(log π_t - log π_old,t)
///   ρ_t  = min(exp(log π_old,t - log μ_t), C)            truncated importance correction
///   k3_t = exp(log π_ref,t - log π_t) - (log π_ref,t - log π_t) - 1     (Schulman 2020)
///
/// K bounds what one token adds, and beyond it the token has no gradient: for one that has become
/// rare, exp(log π_ref - log π) has no bound of its own. π: the weights being trained; π_old: those
/// at the beginning of the step, by the training pass; μ: those that sampled, by the decoding pass.
/// ρ carries no gradient. All logprobs are [terms] float32, under the temperature of sampling;
/// `reference` may be undefined: no distance.
at::Tensor grpo_loss(const at::Tensor& logprobs, const at::Tensor& old, const at::Tensor& reference,
                     const grpo_terms&, const grpo_options&, grpo_figures&);

} // namespace banyan
