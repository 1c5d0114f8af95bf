#pragma once

#include "solver/tree.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace banyan {

/// A running tree at a glance.
struct live_tree {
  tree value;
  std::map<std::string, std::uint64_t> tokens; ///< sampled so far, by live thread
};

} // namespace banyan
