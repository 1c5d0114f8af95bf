#pragma once

#include "solver/countdown.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// A problem and where it was read, for messages: "problems.jsonl: line 3".
struct listed_problem {
  problem value;
  std::string where;
  std::string other_fields; ///< of its object, as a JSON object; empty: it has none
};

/// The problem in an object with `nums` (or `numbers`) and `target`; throws as `read_problems`.
problem problem_from(const nlohmann::ordered_json&, const std::string& where);

/// Reads a JSON array or JSON lines, of standard input where the file is "-", of objects with
/// `nums` (or `numbers`) and `target`; other fields are kept as they are. Throws `bad_usage` naming
/// file and line or element for what is not a well-formed problem or where there is none,
/// `bad_environment` for a file that cannot be read.
std::vector<listed_problem> read_problems(const std::filesystem::path&);

/// The same, of a text; `name` stands for the file in messages.
std::vector<listed_problem> parse_problems(std::string_view text, const std::string& name);

/// A result, one JSON object, with the other fields of its problem as `fields`.
std::string with_fields(std::string result, const listed_problem&);

/// Would both paths be the same regular file? Also where there is none yet.
bool same_file(const std::filesystem::path&, const std::filesystem::path&);

/// The canonical problems of several files.
problem_set problems_of(const std::vector<std::string>& files);

} // namespace banyan
