#pragma once

#include "apps/client.hpp"
#include "apps/options.hpp"
#include "trainer/tree_store.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

/// Which trees, as a command line says it.
struct tree_query {
  static constexpr const char* names[] = {"state", "label", "solved", "since", "until"};

  std::vector<tree_phase> states;  ///< none: all
  std::vector<std::string> labels; ///< "name=value"
  bool solved = true;              ///< counts where it was asked for
  std::string since, until;        ///< "2026-11-22T09:30:00Z", "2026-11-22", or "2h": so long ago

  /// Throws `bad_usage`.
  tree_filter filter(const option_list&, std::int64_t now_ms) const;
};

/// --state, --label and --solved.
void declare(option_list&, tree_query&);
/// --since and --until.
void declare_times(option_list&, tree_query&);

/// Of texts "name=value"; throws `bad_usage`, where `option` names where they stood.
std::multimap<std::string, std::string> read_labels(const std::vector<std::string>&,
                                                    const std::string& option);

/// Gives listed trees, without texts, to `take`: newest first, at most `most`, `filter.limit` at a
/// time; `damaged`, which may be null, hears of those that the daemon could not read. True: there
/// are more.
bool list_trees(client&, const tree_filter&, std::size_t most,
                const std::function<void(client::json&&)>& take,
                const std::function<void(const std::string& id)>& damaged = nullptr);
/// The same for the filter's first state, then for its second, and so on, at most `most` in all.
bool list_state_by_state(client&, tree_filter, std::size_t most,
                         const std::function<void(client::json&&)>& take,
                         const std::function<void(const std::string& id)>& damaged = nullptr);
/// In the order in which they are listed.
inline const std::vector live_phases{tree_phase::running, tree_phase::paused, tree_phase::queued};

/// A tree with all of its threads, however many answers that takes.
client::json whole_tree(client&, const std::string& id);

} // namespace banyan
