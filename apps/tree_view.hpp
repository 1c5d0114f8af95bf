#pragma once

#include "apps/live_tree.hpp"
#include "apps/terminal.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace banyan {

/// One line per thread, parents before children: path, state, tokens, and what it found, waits for
/// or writes. `tokens` counts for live threads. Where the threads do not fit into `rows`, the root
/// and live ones are shown first, and the last line counts the others.
std::vector<std::string> tree_lines(const tree&, const std::map<std::string, std::uint64_t>& tokens,
                                    bool colours, int columns, std::size_t rows = SIZE_MAX);

/// "01J9…  done  25, 7, 3 -> 54"
std::string title(const tree&);
/// "25-7=18, 18*3=54  (verified)", or why not.
std::string outcome_text(const tree&);
/// "7 threads, depth 1, 1 round, 3120 tokens, 830 on the critical path, 214 ms"
std::string figures(const tree_usage&);

/// What happened to a tree, for logs: lines such as "/0 started", "/ joined 6 children", "/0
/// solved, 63 tokens". Each is told once, whenever it is first seen.
class tree_events {
public:
  std::vector<std::string> news(const tree&);

private:
  void begin(const tree&, std::vector<std::string>& lines);
  void end(const tree&, const thread_record&, std::vector<std::string>& lines);

  std::set<std::string> started_, ended_;
  std::map<std::string, std::uint32_t> joined_; ///< rounds, by thread
};

/// Running trees on standard error: drawn live on a terminal, as events elsewhere.
class tree_view {
public:
  explicit tree_view(bool quiet);

  bool live() const { return terminal_ && !quiet_; }

  /// Shows the running trees, oldest first, of so many in all.
  void show(const std::vector<live_tree>&, std::size_t num_running);

  /// Leaves a finished tree standing, or tells the rest of its events and its root's text.
  void finish(const tree&);

private:
  void tell(const tree&);

  bool quiet_, terminal_, colours_;
  live_lines drawn_;
  std::map<std::string, tree_events> events_; ///< by tree
};

} // namespace banyan
