#pragma once

#include "model/config.hpp"
#include "model/lanes.hpp"

#include <ATen/core/Tensor.h>

namespace banyan {

/// How LibTorch names it.
inline at::ScalarType scalar_type(dtype type) {
  return type == dtype::bfloat16 ? at::kBFloat16 : at::kFloat;
}

/// Calls body(T{}) with the type of the elements as our loops know it, float or bfloat16.
template <class Body>
auto with_type(const at::Tensor& x, const Body& body) {
  return x.scalar_type() == at::kFloat ? body(float{}) : body(bfloat16{});
}

} // namespace banyan
