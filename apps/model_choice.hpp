#pragma once

#include "apps/problem_file.hpp"
#include "apps/task_range.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

namespace banyan {

struct model_choice {
  std::filesystem::path folder;
  std::optional<task_range> range; ///< nothing: the checkpoint does not say what it was trained for
};

/// Folders that may hold shipped models: $BANYAN_MODELS if that is set, else beside the program in
/// an installation, in the source tree that it was built from, and in the working directory.
std::vector<std::filesystem::path> model_folders();

/// Throws `bad_usage` naming a problem that the model does not know.
void require_known(const model_choice&, std::span<const listed_problem>);

/// The model that was asked for, or the shipped one that knows all of these problems; of several
/// the one that knows the fewest others. Throws `bad_usage` naming a problem that the model does
/// not know, and `bad_environment` where no model is found at all.
model_choice choose_model(const std::filesystem::path& asked, std::span<const listed_problem>,
                          const std::vector<std::filesystem::path>& folders = model_folders());

} // namespace banyan
