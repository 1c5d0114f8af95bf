#pragma once

#include "apps/runtime.hpp"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace banyan {

/// One line per thread, parents before children: path, state, tokens, and what it found, waits for
/// or writes. `tokens` counts for live threads.
std::vector<std::string> tree_lines(const tree&, const std::map<std::string, std::uint64_t>& tokens,
                                    bool colours, int columns);

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
  ~tree_view();

  bool live() const { return terminal_ && !quiet_; }

  /// Shows the running trees, oldest first, of so many in all.
  void show(const std::vector<live_tree>&, std::size_t num_running);

  /// Leaves a finished tree standing, or tells the rest of its events and its root's text.
  void finish(const tree&);

private:
  void tell(const tree&);
  void erase();

  bool quiet_, terminal_, colours_;
  std::size_t drawn_ = 0;                     ///< lines that stand on the terminal
  std::map<std::string, tree_events> events_; ///< by tree
};

} // namespace banyan
