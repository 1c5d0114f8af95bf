#include "model/decode_scratch.hpp"

#include "model/padded_batch.hpp"

#include <ATen/ops/empty.h>

namespace banyan {

namespace {

activations allocate(const model_config& c, const at::TensorOptions& options, std::int64_t tokens) {
  auto make = [&](std::int64_t width) { return at::empty({tokens, width}, options); };
  return {.residual = at::empty({tokens, c.hidden_size}, options.dtype(at::kFloat)),
          .normed = make(c.hidden_size),
          .qkv = make((c.num_heads + 2 * c.num_kv_heads) * c.head_dim),
          .attended = make(c.num_heads * c.head_dim),
          .gate_up = make(2 * c.intermediate_size),
          .gated = make(c.intermediate_size)};
}

} // namespace

decode_scratch::decode_scratch(const model_config& c, const at::TensorOptions& options,
                               std::int64_t max_tokens)
    : whole_(allocate(c, options, padded_batch::size_for(max_tokens))), part_(whole_) {}

activations& decode_scratch::of(std::int64_t tokens) {
  if (part_.residual.size(0) != tokens)
    for (auto member : activations::all) part_.*member = (whole_.*member).narrow(0, 0, tokens);
  return part_;
}

} // namespace banyan
