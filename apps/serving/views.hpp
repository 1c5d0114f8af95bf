#pragma once

#include "apps/serving/forest.hpp"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

// What the daemon's JSON looks like; docs/interfaces.md.

/// Which of a tree's threads are shown, and with what.
struct tree_cut {
  bool texts = false;
  std::size_t most_threads = 1000;
  std::string after;                         ///< those behind this one; empty: from the root on
  const char* after_field = "threads_after"; ///< that said so
};

/// A tree with some of its threads, and in `threads_next` the last of them where there are more.
/// Throws `request_error` where there is no thread `after`.
nlohmann::ordered_json tree_view(const tree&, const tree_cut&);

/// {"threads", "next"}: the threads without texts.
nlohmann::ordered_json threads_view(const tree&, const tree_cut&);

/// One thread with its text, its cache and what it may still spend.
nlohmann::ordered_json thread_detail(const thread_view&);

nlohmann::ordered_json thread_row_view(const thread_row&);
nlohmann::ordered_json pools_view(const forest_status&);
nlohmann::ordered_json nodes_view(const forest_status&);
nlohmann::ordered_json status_view(const forest_status&);

} // namespace banyan
