#pragma once

#include "apps/time_text.hpp"
#include "solver/tree.hpp"

#include <cstddef>
#include <string>

namespace banyan {

// All of these return one line of JSON without a newline; layouts in docs/interfaces.md.

/// What `solve --json` prints for a finished tree.
std::string solve_json(const tree&);

/// A line of `evaluate --results`: the tree as sample `sample` of its problem.
std::string result_json(const tree&, std::size_t sample);

/// A tree, live or finished; `texts`: with every thread's text and solution.
std::string tree_json(const tree&, bool texts = true);

} // namespace banyan
