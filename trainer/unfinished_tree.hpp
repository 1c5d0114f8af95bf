#pragma once

#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <vector>

namespace banyan {

// How an unfinished tree is put together from what is known of it.

/// Parents first. What is known of a thread whose parent is not known is of no use: it will be
/// asked for again.
std::vector<thread_record> in_order(std::vector<thread_record>);

/// The tree of a request that nobody has finished, with the threads that are known of it.
tree begun(const solve_request&, std::int64_t created_ms, tree_phase,
           std::vector<thread_record> threads);

} // namespace banyan
