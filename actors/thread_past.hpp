#pragma once

#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace banyan {

/// Where a thread stands whose text was written before.
struct thread_past {
  trace grammar;
  std::uint32_t rounds = 0;      ///< of children that were asked for, an open one included
  std::uint32_t first_child = 0; ///< index of the open round's first child, or of the next one's
  std::vector<std::string> open; ///< prompts of the round that is not joined yet
  std::size_t spawn_offset = 0;  ///< of the last spawn block in the text, in bytes
};

/// Reads a record's segments through the grammar once more. Throws std::runtime_error where they
/// are none that a thread can have written.
thread_past read_again(std::span<const segment>, trace::options);

} // namespace banyan
