#pragma once

#include "solver/tree.hpp"

#include <string>
#include <vector>

namespace banyan {

/// Demonstrations of several files, records (`.trees`) or the published JSON layout, but for those
/// whose problem is in `held_out`. Throws `bad_environment`, `bad_usage`, `bad_record` or
/// std::system_error for what cannot be read, and `bad_usage` where nothing is left.
std::vector<tree> read_traces(const std::vector<std::string>& files, const problem_set& held_out);

} // namespace banyan
