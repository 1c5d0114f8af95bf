#pragma once

#include "apps/options.hpp"
#include "apps/problem_file.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace banyan {

/// The problems that a command line asks for: `--target T N N...` or `--problems FILE`.
struct asked_problems {
  std::filesystem::path file;
  std::vector<std::string> target; ///< and the numbers that follow it
  std::vector<std::string> numbers;

  /// Throws `bad_usage` where none are asked for, or they make no sense; `command` is for messages.
  std::vector<listed_problem> read(const std::string& command) const;
};
void declare(option_list&, asked_problems&);

} // namespace banyan
