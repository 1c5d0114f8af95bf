#pragma once

#include "solver/countdown.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace banyan {

/// How tokens are chosen. Sampling is a pure function of (logits, these, thread path, position).
struct sampling_options {
  float temperature = 0;  ///< 0: greedy
  std::int32_t top_k = 0; ///< 0: off
  float top_p = 1, min_p = 0;
  std::uint64_t seed = 0;
};

/// When a parent goes on after a spawn.
struct join_policy {
  enum class kind : std::uint8_t { all, first_success, k_of_n, deadline };
  kind when = kind::all;
  std::uint32_t k = 1; ///< k_of_n: so many successes
  double seconds = 0;  ///< deadline: whatever has come by then
};

/// What a tree may spend. 0 means no limit, but for `max_tokens` and `max_context`, where it means
/// the model's context.
struct budget {
  std::uint32_t max_depth = 1;       ///< children of the root are at depth 1; 0: nobody may spawn
  std::uint32_t max_threads = 256;   ///< of the whole tree, the root included
  std::uint32_t max_tokens = 0;      ///< sampled, per thread
  std::uint32_t max_context = 0;     ///< of a thread: prompt, own and joined text
  std::uint64_t max_tree_tokens = 0; ///< sampled, per tree
  std::uint32_t max_rounds = 16;     ///< spawn rounds per thread
  double deadline_s = 300;           ///< from the session's start
};

/// What can be done with a live thread and all below it.
enum class tree_action : std::uint8_t { cancel, pause, resume };

/// Threads of a tree that somebody paused; all below them are paused too.
using halted_paths = std::set<std::string, std::less<>>;

/// Labels whose names begin so are Banyan's own; what comes from outside must not have them.
inline constexpr std::string_view reserved_labels = "banyan.";

/// Work for a node: one tree.
struct solve_request {
  std::string id; ///< the tree's id; empty: the node makes one
  std::string task = "countdown";
  banyan::problem problem;
  std::string prompt; ///< the root's first text
  sampling_options sampling;
  join_policy join;
  banyan::budget budget;
  std::map<std::string, std::string> labels;
  std::optional<std::uint32_t> weights_epoch; ///< decode with these weights to the end; none: with
                                              ///< the newest, also when they change meanwhile
  /// Who asks can ask anew: the tree begins at once, takes no place from others, is not kept for
  /// the next process, and is answered also where the store refuses it.
  bool stored_at_best = false;
};

} // namespace banyan
