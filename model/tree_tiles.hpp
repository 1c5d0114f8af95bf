#pragma once

#include "model/tree_attention_cuda.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace banyan {

/// The tiles of all sequences, one after the other. `starts`, `visible_until`: as in
/// sequence_batch.
std::vector<tree_tile> tree_tiles(std::span<const std::int32_t> starts,
                                  std::span<const std::int32_t> visible_until);

} // namespace banyan
