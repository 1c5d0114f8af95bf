#pragma once

#include "solver/countdown.hpp"
#include "solver/errc.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Who put a stretch of a thread's text there. A thread's sequence is
/// `prompt written (spawn joined written)*`, while the thread lives cut off anywhere. A `written`
/// is there even where nothing was written before the next spawn.
enum class segment_kind : std::uint8_t {
  prompt,  ///< given: by the user for the root, by the parent's spawn for a child
  written, ///< sampled by the model, and part of what it later sees
  spawn,   ///< sampled by the model: the block that asks for children; replaced by the next segment
  joined,  ///< given: what the children returned, in the place of the spawn block
};
std::string_view to_string(segment_kind);

struct segment {
  segment_kind kind = segment_kind::prompt;
  std::string text;
  std::vector<std::int32_t> ids; ///< token ids; empty in demonstrations that were not yet tokenised
  std::vector<float> logprobs;   ///< one per id where sampled; under which it was sampled
  std::vector<std::uint32_t> epochs; ///< one per id where sampled; weights epoch that made it

  bool sampled() const { return kind == segment_kind::written || kind == segment_kind::spawn; }
};

enum class thread_phase : std::uint8_t {
  queued,
  decoding,
  waiting,
  paused,
  done,
  failed,
  cancelled
};
enum class tree_phase : std::uint8_t { queued, running, paused, done, failed, cancelled };
std::string_view to_string(thread_phase);
std::string_view to_string(tree_phase);
std::optional<tree_phase> tree_phase_from(std::string_view name); ///< nothing where there is none
inline bool ended(thread_phase p) { return p >= thread_phase::done; }
inline bool ended(tree_phase p) { return p >= tree_phase::done; }

/// Figures of a tree; meanings in docs/interfaces.md.
struct tree_usage {
  std::uint32_t threads = 0, depth = 0, rounds = 0;
  std::uint64_t prompt_tokens = 0, generated_tokens = 0, critical_path_tokens = 0,
                cached_tokens = 0;
  double wall_ms = 0;
};

/// When a thread entered a phase.
struct phase_mark {
  thread_phase phase = thread_phase::queued;
  std::int64_t at_ms = 0; ///< Unix time
};

/// What is known of a thread, its texts and tokens aside.
struct thread_figures {
  std::string path = "/"; ///< "/", "/0", "/0/3"
  thread_phase phase = thread_phase::queued;
  errc failure = errc::none;
  std::uint32_t depth = 0;              ///< 0 for the root
  std::uint32_t round = 0;              ///< the parent's spawn round that started it, from 0
  std::uint32_t rounds = 0;             ///< spawn rounds of its own so far
  bool awaited = true;                  ///< false: its parent's join went on without it
  std::int64_t since_ms = 0;            ///< of the phase; Unix time
  std::vector<std::string> waiting_for; ///< paths of children not yet joined
  std::string pool, node;
  std::uint64_t prompt_tokens = 0, cached_tokens = 0;
  std::vector<phase_mark> history; ///< oldest first; the last ones only of a very long life
};

/// One thread of a tree, live or finished.
struct thread_record : thread_figures {
  std::vector<segment> segments;
  std::optional<std::string> solution; ///< nothing: none found (or not yet)

  std::string parent() const; ///< "" for the root
  std::string text() const;   ///< the final context: a spawn block only where nothing replaced it
  std::uint64_t generated_tokens() const;
  bool refused() const; ///< asked for beyond the budget: it is on record but never ran
};

/// What is known of a tree, its threads aside.
struct tree_figures {
  std::string id;
  std::string task = "countdown";
  banyan::problem problem;
  std::string prompt;
  std::map<std::string, std::string> labels;
  tree_phase phase = tree_phase::queued;
  errc failure = errc::none;
  banyan::outcome outcome;
  std::int64_t created_ms = 0, finished_ms = 0; ///< Unix time; 0: not yet
  std::uint32_t weights_epoch = 0;
  std::uint64_t seed = 0;
  double wall_ms = 0;
};

/// A tree of reasoning threads: the same class while live and when finished, for rollouts and for
/// demonstrations. Threads are kept in the order in which they were started; the root is first.
struct tree : tree_figures {
  std::vector<thread_record> threads;

  /// Adds the root "/" or the child `path`, whose parent must be there, and sets its depth. Returns
  /// a reference valid until the next `add`.
  thread_record& add(std::string path);
  thread_record* find(std::string_view path);
  const thread_record* find(std::string_view path) const;
  const thread_record& root() const { return threads.front(); }

  /// Sums over all threads that ran; the critical path is the longest chain of generated tokens
  /// that had to be made one after the other (a thread's own, plus per round the longest child its
  /// join waited for).
  tree_usage usage() const;

  /// For each thread: was it cancelled, did its parent's join go on without it, or is it below one
  /// of which that is true?
  std::vector<bool> wasted() const;

  /// Generated tokens of those threads.
  std::uint64_t wasted_tokens() const;

  /// The longest context that any of its threads had, in tokens: all its model saw, and what was
  /// sampled last. A prompt or a join that nothing was sampled after was in none.
  std::uint64_t longest_context() const;

  /// Checks itself: unique paths, parents first, depth = length of path, segment order, one logprob
  /// and one epoch per sampled id (where ids are given). Returns what is wrong, or nothing.
  std::optional<std::string> inconsistent() const;
};

/// The tree without the texts and tokens of its threads, a tenth as large. Its usage stays as it
/// is: a sampled segment keeps as many ids, each 0. A thread that has a solution has an empty one.
tree outline(const tree&);

/// "/" + 0 = "/0"; "/0" + 3 = "/0/3".
std::string child_path(std::string_view parent, std::uint32_t index);

/// "/3/0" is at or below "/3" and "/", "/30" is not below "/3".
bool at_or_below(std::string_view path, std::string_view ancestor);

} // namespace banyan
