#pragma once

#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <vector>

namespace banyan {

/// A tree that was accepted and is not finished, with what is known of its threads: each as it was
/// at its last boundary (a spawn, a join, a pause or its end). The root first, parents before
/// children; empty before the root's first boundary.
struct unfinished_tree {
  solve_request request;
  std::int64_t created_ms = 0;
  halted_paths halted;
  std::vector<thread_record> threads;
  std::int64_t used_ms = 0; ///< of its time, until the last boundary of all
};

// How it is put together from what is known of it.

/// Parents first. What is known of a thread whose parent is not known is of no use: it will be
/// asked for again.
std::vector<thread_record> in_order(std::vector<thread_record>);

/// The tree of a request that nobody has finished, with the threads that are known of it.
tree begun(const solve_request&, std::int64_t created_ms, tree_phase,
           std::vector<thread_record> threads);

} // namespace banyan
