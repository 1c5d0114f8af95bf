#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace banyan {

/// A product with a weight matrix [out, in], as a decode step needs it: x · weightᵀ.
///
/// Small matrices on the CPU are copied into panels that a kernel of our own reads front to back:
/// at some dozens of tokens a library spends as long on its way to the work as at it. That kernel
/// adds up every row of a result in one order, whatever the other rows are, so a token's result
/// does not depend on its batch to the last bit. All other matrices go through LibTorch.
class product {
public:
  /// `packed` asks for panels; the weight must then be contiguous on the CPU. Later changes of the
  /// weight are seen only where it is not packed.
  product(const at::Tensor& weight, bool packed);

  /// out = x · weightᵀ; x: [tokens, in] of the weight's type, out: [tokens, out] of that or float32
  void into(const at::Tensor& x, at::Tensor& out) const;

  /// sum += x · weightᵀ; sum: [tokens, out] float32; `scratch`: [tokens, out] of the weight's type,
  /// whose values may be lost
  void add_to(const at::Tensor& x, at::Tensor& sum, at::Tensor& scratch) const;

private:
  at::Tensor transposed_; // [in, out], a view of the weight
  at::Tensor panels_;     // [panels, in, panel_width]; undefined: not packed
};

} // namespace banyan
