#include "trainer/not_finite.hpp"

#include "model/weights.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

std::string_view to_phrase(not_finite what) {
  switch (what) {
  case not_finite::nothing: break;
  case not_finite::loss: return "the loss is";
  case not_finite::gradient: return "the gradient is";
  case not_finite::weights: return "what its weights became is";
  }
  return "nothing is";
}

bool are_finite(const model_weights& weights) {
  const at::NoGradGuard no_grad;
  // The largest of values of which one is no number is no number.
  return std::ranges::all_of(named_views(weights), [](const auto& view) {
    return std::isfinite(view.value.abs().max().template item<double>());
  });
}

} // namespace banyan
