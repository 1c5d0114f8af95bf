#include "trainer/not_finite.hpp"

#include "model/weights.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace banyan {

namespace {

/// The largest of values of which one is no number is no number.
bool is_finite(const at::Tensor& values) {
  return values.numel() == 0 || std::isfinite(values.abs().max().item<double>());
}

} // namespace

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
  return std::ranges::all_of(named_views(weights),
                             [](const auto& view) { return is_finite(view.value); });
}

std::string find_not_finite(const std::map<std::string, at::Tensor>& all) {
  const at::NoGradGuard no_grad;
  const auto found =
      std::ranges::find_if(all, [](const auto& entry) { return !is_finite(entry.second); });
  return found == all.end() ? std::string() : found->first;
}

} // namespace banyan
