#pragma once

#include "model/config.hpp"

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace banyan {

/// Cosine and sine of position · theta^(-2i / head_dim).
struct rotary_tables {
  at::Tensor cos, sin; // [positions, head_dim / 2] float32
};

/// For positions from 0 on; made on the device.
rotary_tables make_rotary_tables(const model_config&, std::int64_t positions, const at::Device&);

} // namespace banyan
