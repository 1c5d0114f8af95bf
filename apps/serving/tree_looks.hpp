#pragma once

#include "actors/status_board.hpp"
#include "apps/serving/forest.hpp"
#include "solver/tree.hpp"

#include <span>
#include <vector>

namespace banyan {

// What a client sees of a tree, made of what the session, the store and the board know.

/// Rows of the board that belong to one tree.
using board_rows = std::vector<status_board::row>;

/// What the board says of live threads; the session knows of boundaries alone.
void add_board(tree&, const board_rows&);

/// The threads of the tree in this range; none behind one that is not there.
std::span<thread_record> range_of(tree&, const thread_range&);

} // namespace banyan
