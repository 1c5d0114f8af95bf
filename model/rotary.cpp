#include "model/rotary.hpp"

#include <ATen/ATen.h>

namespace banyan {

rotary_tables make_rotary_tables(const model_config& c, std::int64_t positions,
                                 const at::Device& device) {
  const auto options = at::TensorOptions(at::kDouble).device(device);
  const auto steps = at::arange(0, c.head_dim, 2, options);
  const auto inverse = at::pow(c.rope_theta, -steps / static_cast<double>(c.head_dim));
  const auto angle = at::outer(at::arange(positions, options), inverse);
  return {angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

} // namespace banyan
