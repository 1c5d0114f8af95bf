#pragma once

#include "apps/client.hpp"
#include "apps/tree_table.hpp"

#include <chrono>
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

/// Totals and pools: a few lines. Speeds are differences to `before`, which may be null.
std::vector<std::string> overview(const reading&, const reading* before, const std::string& url);

} // namespace banyan
