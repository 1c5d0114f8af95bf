#pragma once

#include "solver/tree.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace banyan {

/// A tree as lists show it: its figures stand beside it, for its threads may not be there.
struct listed_tree {
  tree value;
  tree_usage usage;
};

/// One line per tree under a line of titles: id, state, problem, threads, tokens, time so far or in
/// all, whether it is solved, labels.
std::vector<std::string> tree_table(const std::vector<listed_tree>&, std::int64_t now_ms);

} // namespace banyan
