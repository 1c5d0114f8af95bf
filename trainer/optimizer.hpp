#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace at {
class Tensor;
}

namespace banyan {

struct model_weights;

enum class optimizer_kind : std::uint8_t {
  muon,  ///< Muon on the matrices of the blocks, AdamW on everything else
  adamw, ///< AdamW on everything
};

struct optimizer_options {
  optimizer_kind kind = optimizer_kind::muon;
  double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8; ///< AdamW (Loshchilov & Hutter 2019)
  double adamw_decay = 0;                           ///< weight decay where AdamW updates a matrix
  double embedding_rate = 0.5; ///< the embedding's learning rate, as a share of the rate
  double momentum = 0.95;      ///< Muon: average of gradients, Nesterov
  int newton_schulz_steps = 5;
  double muon_decay = 0.01;
  double clip_norm = 1;           ///< of the gradient over all weights; 0: no clipping
  dtype compute = dtype::float32; ///< of Muon's matrix products
};

/// Updates the weights in place from their gradients.
///
/// Muon (Jordan et al. 2024): the update of a matrix is its momentum, orthogonalised by
/// Newton–Schulz steps with the coefficients 3.4445, -4.7750, 2.0315, times 0.2·√max(rows,
/// columns), so that one rate fits AdamW's. Projections that are stored as one matrix are updated
/// as the matrices they are.
class optimizer {
public:
  /// The weights become leaves that require gradients.
  optimizer(model_weights&, optimizer_options);
  ~optimizer();

  /// One update at this learning rate; clips, applies, and clears the gradients. Returns the
  /// gradient norm before clipping. A norm that is not finite changes nothing (the gradients are
  /// cleared).
  double step(double rate);

  /// Of what has been added up since the last step, before clipping.
  double gradient_norm() const;

  /// Drops what has been added up since the last step.
  void forget_gradients();

  /// Everything that a resumed run needs, by name, float32; shares memory with the optimiser.
  std::map<std::string, at::Tensor> state() const;

  /// Takes a saved state over. Throws std::invalid_argument for a missing name or another shape.
  void restore(const std::map<std::string, at::Tensor>&);

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
