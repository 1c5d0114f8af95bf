#pragma once

#include "solver/tree.hpp"

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

// Parts of the layouts in docs/interfaces.md, for those who build larger objects of them.

nlohmann::ordered_json problem_parts(const problem&);
nlohmann::ordered_json outcome_parts(const outcome&);

/// A tree without its threads.
nlohmann::ordered_json tree_parts(const tree&);
/// A thread; `texts`: with its text and solution.
nlohmann::ordered_json thread_parts(const thread_record&, bool texts);

nlohmann::ordered_json name_or_null(errc);                 ///< null: none
nlohmann::ordered_json time_or_null(std::int64_t unix_ms); ///< null: 0
nlohmann::ordered_json text_or_null(const std::string&);   ///< null: empty

/// One line without a newline. What a model writes need not be UTF-8; this is.
std::string json_line(const nlohmann::ordered_json&);

} // namespace banyan
