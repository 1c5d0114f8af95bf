#pragma once

#include "apps/common_options.hpp"
#include "apps/run_changes.hpp"

#include <filesystem>
#include <string>

namespace banyan {

/// After the command line, the config of a run: the one given, then, for `--resume`, the one that
/// the run left in its folder, then the user's. `out`, `resume` and `minutes` are the options of
/// those names; beside the last `steps` is one. Returns what a resumed run was begun with. Throws
/// bad_environment where there is no run to resume, or its config is missing or cut off and no
/// other is given.
resumed_config read_run_config(option_list&, const common_options&,
                               const std::filesystem::path& out, const bool& resume,
                               double& minutes);

/// Leaves the resolved options of a run in its folder, for `--resume`.
void keep_run_config(const std::filesystem::path& out, const std::string& config);

/// The first line of a run's config, which says what kind of a run it is.
std::string head_of_config(const option_list&);

/// The options that the list is bound to as a config file, which means the same from wherever it is
/// read.
template <class Options>
std::string resolved_config(const option_list& list, Options& o) {
  const auto as_given = o;
  make_absolute(o);
  auto config = head_of_config(list) + list.config();
  o = as_given;
  return config;
}

} // namespace banyan
