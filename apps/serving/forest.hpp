#pragma once

#include "actors/event_hub.hpp"
#include "actors/status.hpp"
#include "solver/request.hpp"
#include "solver/tree.hpp"
#include "trainer/tree_store.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace banyan {

/// Why something was not done, for the one who asked.
struct refusal {
  enum class kind : std::uint8_t {
    bad_request, ///< 400: the request makes no sense; `field` says where
    not_found,   ///< 404: no such tree or thread
    conflict,    ///< 409: it makes no sense now, e.g. to pause a finished tree
    full,        ///< 429: the queue is at its limit; try again in `retry_s`
    unavailable, ///< 503: the daemon is about to end, or the store cannot be written
    damaged,     ///< 500: the tree is there and cannot be read
    internal,    ///< 500
  };
  kind why = kind::internal;
  std::string message; ///< names the input and the remedy
  std::string field;   ///< "problem.target"; empty where none is at fault
  int retry_s = 1;
};

/// Whether somebody still waits for an answer. Asked on any OS thread.
using still_wanted = std::shared_ptr<const std::atomic<bool>>;

/// Gets the answer, or why there is none; called once, on any OS thread, or not at all once it is
/// not wanted any more.
template <class T>
struct answer_to : std::function<void(std::variant<T, refusal>)> {
  using std::function<void(std::variant<T, refusal>)>::function;

  still_wanted wanted; ///< null: always
};

using tree_ptr = std::shared_ptr<const tree>;

/// One thread, with what only its actor and its pool know while it lives.
struct thread_view {
  thread_record record;
  bool live = false;
  std::uint64_t cache_blocks = 0; ///< that it holds at its pool now
  bool leased = false;            ///< it waits, and its blocks are kept for it
  std::uint64_t tokens_left = 0;  ///< of its budget; UINT64_MAX: no limit
  std::uint32_t rounds_left = 0;
  double seconds_left = 0;
};

/// A live thread at a glance.
struct thread_row {
  std::string tree, thread;
  thread_phase phase = thread_phase::queued;
  std::uint64_t tokens = 0;
  std::uint32_t waiting_for = 0;
  std::int64_t since_ms = 0;
};

/// Some trees, and those that belong among them and cannot be read.
struct tree_page {
  std::vector<tree_ptr> trees;
  std::vector<std::string> damaged; ///< ids
};

struct forest_status {
  node_status node;
  std::map<thread_phase, std::uint64_t> threads; ///< live ones, by state
  store_counts store;
  std::uint64_t damaged_trees = 0; ///< that were met in the store so far
  std::string store_trouble;       ///< why nothing can be written; empty: it can
  double uptime_s = 0;
  std::string version;
  bool ready = false;   ///< takes work: `why_not_ready` says nothing
  bool closing = false; ///< takes no more, for it is about to end

  bool ending() const { return closing || node.draining; }

  /// Why it takes no work, with a remedy; empty if it does.
  std::string why_not_ready() const;

  // Unfinished trees by state.
  std::uint64_t queued() const { return node.queued - node.queued_paused; }
  std::uint64_t running() const { return node.running - (node.paused - node.queued_paused); }
};

struct model_facts {
  std::string name, folder;
  std::uint64_t parameters = 0;
  std::int64_t context = 0, vocabulary = 0; ///< tokens
  std::int64_t created_s = 0;               ///< Unix time of the checkpoint
};

/// Plain decoding, without a tree.
struct completion_request {
  std::string prompt;
  sampling_options sampling;
  std::uint32_t max_tokens = 16; ///< clamped to the context; 0: nothing is decoded
  std::vector<std::string> stop;
  bool stream = false; ///< tell pieces as they come
  bool echo = false;   ///< tell the prompt as a piece in front of all others, streamed or not
  std::optional<std::vector<std::int32_t>> ids; ///< the prompt's tokens, in place of its text
  std::optional<std::uint32_t> logprobs; ///< tell them, also of an echoed prompt, and so many of
                                         ///< the likeliest tokens at each place
};

/// A token of a completion, or of its prompt.
struct completion_token {
  std::string text;
  std::optional<float> logprob; ///< natural log, under the temperature; none of a prompt that was
                                ///< not scored, and of its first token
  std::vector<std::pair<std::string, float>> likeliest; ///< tokens' texts and logprobs
};

struct completion_piece {
  std::string text;                     ///< since the last piece, whole characters
  std::vector<completion_token> tokens; ///< whose texts, laid end to end, are `text`
  bool of_prompt = false;
};

struct completion_end {
  completion_piece rest;    ///< since the last piece; everything where nothing was streamed
  std::string finish;       ///< "stop" or "length"
  std::string matched_stop; ///< the stop string that ended it; empty: end-of-sequence or length
  std::optional<std::int32_t> matched_token; ///< the end-of-sequence token, where it ended it
  std::uint32_t prompt_tokens = 0, generated_tokens = 0, cached_tokens = 0;
};

/// Which threads of a tree: so many behind `after`, from the first on where that is empty.
struct thread_range {
  std::string after;
  std::size_t most = SIZE_MAX;
};

struct thread_page {
  std::vector<thread_row> rows;
  std::size_t total = 0; ///< there are
};

/// All that the outside can ask of a daemon, whatever the protocol. Nothing here waits; functions
/// may be called from any OS thread.
class forest {
public:
  virtual ~forest() = default;

  /// `accepted` gets the tree's id as soon as the request is durable, or at once where `finished`
  /// is there too: then nothing is acknowledged but the tree itself, once it is durable. Either may
  /// be null. A refusal goes to the last one that is not.
  virtual void submit(solve_request, answer_to<std::string> accepted,
                      answer_to<tree_ptr> finished) = 0;

  /// A tree, live or stored; `texts`: with the texts of these threads at least.
  virtual void find(const std::string& id, const std::optional<thread_range>& texts,
                    answer_to<tree_ptr>) = 0;
  virtual void find_thread(const std::string& id, const std::string& path,
                           answer_to<thread_view>) = 0;

  /// Newest first, live and stored, without texts. An `after` that nobody knows is refused.
  virtual void list(tree_filter, answer_to<tree_page>) = 0;

  /// Acts on a thread and all below it; "/" is the whole tree. Answers with the tree as it is then.
  virtual void act(tree_action, const std::string& id, const std::string& path,
                   answer_to<tree_ptr>) = 0;

  /// Live threads of all trees, `offset` to `offset + limit`.
  virtual thread_page threads(std::size_t offset, std::size_t limit) const = 0;

  virtual void status(answer_to<forest_status>) = 0;

  /// Returns a handle for `stop_completion`. `on_piece` may be null.
  virtual std::uint64_t complete(completion_request, std::function<void(completion_piece)> on_piece,
                                 answer_to<completion_end>) = 0;
  virtual void stop_completion(std::uint64_t handle) = 0;

  virtual model_facts model() const = 0;
  virtual event_hub& events() = 0;
};

} // namespace banyan
