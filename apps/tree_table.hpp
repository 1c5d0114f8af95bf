#pragma once

#include "solver/tree.hpp"

#include <climits>
#include <string>
#include <vector>

namespace banyan {

/// A tree as lists show it: its figures stand beside it, for its threads may not be there.
struct listed_tree {
  tree value;
  tree_usage usage;
};

/// One line per tree under a line of titles: id, state, problem, threads, tokens, the time that it
/// ran (so far; waiting for its turn and pauses are no part of it), whether it is solved, labels.
/// Where there is no room for all that, the last and the least of it go first.
std::vector<std::string> tree_table(const std::vector<listed_tree>&, int characters = INT_MAX);

} // namespace banyan
