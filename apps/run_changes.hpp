#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// What a resumed run was asked for, and what it was begun with.
struct resumed_config {
  std::string kept;                         ///< the config in its folder; empty: not resumed
  std::set<std::string, std::less<>> asked; ///< options of the command line or of --config
};

/// An option that is not as it was; "nothing" stands for no value.
struct config_change {
  std::string name, before, now;
};

/// Takes all options of the kept config as asked for.
void add_names(resumed_config&);

/// The options asked for that are not as they were. `config`: the present one, in the syntax of the
/// kept one. Throws bad_usage for one of `fixed`, which are those that say what a run was begun
/// from: another value would change nothing but the config.
std::vector<config_change> changes(const resumed_config&, std::string_view config,
                                   std::span<const std::string_view> fixed);

/// "resumed with --steps 9 (was 5), --rate 0.1 (was 0.2)"
std::string changes_text(const std::vector<config_change>& changes);

} // namespace banyan
