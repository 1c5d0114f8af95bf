#pragma once

#include "solver/search.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

// The published layout of problems and demonstrations (docs/interfaces.md). What is written is one
// line of JSON without a newline.

/// A problem of a problem file, in the published layout: nums, target, solution, optimal_path,
/// start_size. The problem must be solvable.
std::string problem_json(const problem&);

/// Demonstration `index` in the published layout: that of the problem, and search_path, rating,
/// search_type, trace_dict and so on.
std::string trace_json(const tree&, const search_options&, std::uint64_t index);

/// Reads demonstrations in the published layout, a JSON array or JSON lines, back as trees of
/// segments without token ids. Throws `bad_usage`; `name` stands for the file in messages.
std::vector<tree> parse_traces(std::string_view text, const std::string& name);

} // namespace banyan
