#pragma once

#include "apps/client.hpp"
#include "apps/tree_table.hpp"

#include <chrono>
#include <climits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace banyan {

/// A daemon at one time.
struct reading {
  std::chrono::steady_clock::time_point at;
  client::json status;
  std::vector<client::json> told; ///< the live trees, as the daemon gave them
  std::vector<listed_tree> trees; ///< the same, those with the most threads and tokens first
};
reading read_daemon(client&);

/// Totals in three lines, a blank one, and the pools, so wide at most. Speeds are differences to
/// `before`, which may be null.
std::vector<std::string> overview(const reading&, const reading* before, const std::string& url,
                                  int columns = INT_MAX);

} // namespace banyan
