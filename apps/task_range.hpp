#pragma once

#include "solver/countdown.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

/// Which problems a model was trained for: `banyan.json` beside its weights.
struct task_range {
  std::vector<int> numbers; ///< how many numbers a problem may have
  std::int64_t min_number = 1, max_number = 99, min_target = 10, max_target = 100;

  /// Why a problem lies outside, or nothing.
  std::optional<std::string> misses(const problem&) const;
};

std::string to_json(const task_range&);

/// Nothing if the folder has no such file. Throws `bad_environment` for one that cannot be read.
std::optional<task_range> read_task_range(const std::filesystem::path& folder);

} // namespace banyan
