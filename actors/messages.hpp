#pragma once

#include "actors/decode.hpp"
#include "actors/errors.hpp"
#include "actors/interfaces.hpp"
#include "actors/status.hpp"
#include "actors/tree_event.hpp"
#include "solver/request.hpp"
#include "solver/tree.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/meta/type_name.hpp>

namespace banyan {

// ---- pool; what is said to one about decoding: decode.hpp ----

/// A pool and the name under which records know it ("cpu:0").
struct named_pool {
  std::string name;
  pool_actor actor;
  std::shared_ptr<const pool_gauge> gauge = {}; ///< null: it shows nothing while it is in a step
};

// ---- thread and session ----

/// A tree to solve, or to go on with: `past` has its threads as they were at their last boundary,
/// the root first; empty for a new tree.
struct tree_work {
  solve_request request;
  std::int64_t created_ms = 0; ///< Unix time; 0: now
  halted_paths halted;
  std::vector<thread_record> past;
  std::int64_t used_ms = 0; ///< of its time, until its last boundary
};

/// Begins a thread, or goes on from its last boundary: from `past`, if that has segments. Its
/// history is the thread's in any case.
struct start_request {
  std::string path;
  std::string prompt;
  thread_record past;
  bool paused = false;
  bool watched = false;
};

/// A paused thread goes on; its tree's time has become longer by the pause.
struct resume_thread {
  std::chrono::steady_clock::time_point deadline;
};

/// A thread ends, with a report of all that it did.
struct end_thread {
  errc why = errc::cancelled;
};

/// What a thread would go on from if all else were lost.
struct thread_boundary {
  thread_record record;
};

/// A parent names the children of a round: from then on they run, and can be seen and steered.
struct spawn_notice {
  std::uint32_t round = 0, first = 0; ///< the index of the first child
  std::vector<std::string> prompts;
  std::optional<named_pool> pool; ///< where the parent decodes
  tree_event news;                ///< told before any of them says a word
};

/// A parent asks for what a child of its finds; behind its notice. `index` counts on over the
/// parent's rounds.
struct spawn_request {
  std::uint32_t index = 0;
};

/// What a child gives its parent: the answer, never the trace behind it.
struct solution {
  std::string text;
};

/// A thread has sampled `spent` tokens so far and wants to sample `want` more; 0 gives back what is
/// left of the last grant.
struct token_request {
  std::uint64_t spent = 0;
  std::uint32_t want = 0;
};

/// So many a thread may sample until it asks again; 0: the tree's token budget is spent.
struct token_grant {
  std::uint32_t tokens = 0;
};

/// A thread's last word: everything it did, for the tree. Its `phase` says how it ended.
struct thread_report {
  thread_record record;
};

/// Ends `thread` of tree `id` and everything below it.
struct cancel_request {
  std::string id;
  std::string thread = "/";
};

/// Acts on `thread` of tree `id` and everything below it.
struct steer_request {
  tree_action action = tree_action::cancel;
  std::string id;
  std::string thread = "/";
};

/// Somebody watches tree `id`, or nobody any more.
struct watch_request {
  std::string id;
  bool on = true;
};

// ---- store ----

/// A request to be answered as soon as it is durable.
struct accept_request {
  solve_request request;
};
struct accepted_tree {
  std::string id;
};

/// What the store is told, and its answer.
struct tree_accepted {
  std::shared_ptr<const solve_request> request; ///< with its id
  std::int64_t created_ms = 0;
};
struct tree_boundary {
  std::string id;
  std::shared_ptr<const thread_record> record;
  std::int64_t used_ms = 0; ///< of the tree's time, pauses aside
};
struct tree_state {
  std::string id;
  tree_phase phase = tree_phase::queued;
  halted_paths halted;
};
struct stored {};
struct store_status {
  std::uint64_t waiting = 0; ///< writes of the next commit
  std::string trouble;       ///< why the last one failed; empty: it did not
};

/// Answers a `solve_request`, and goes to the store.
struct finished_tree {
  std::shared_ptr<const tree> value;
};

struct thread_status {
  thread_record record;
  bool live = false;
  sequence_status at_pool;                        ///< as far as that answers in time
  std::uint32_t tokens_left = 0, rounds_left = 0; ///< UINT32_MAX: no limit
  double seconds_left = 0;
};
struct tree_request {
  std::string id;
  bool texts = false; ///< with the texts of threads that have ended
};
/// Asks for one thread of a running tree, its text included.
struct thread_request {
  std::string id;
  std::string thread = "/";
  std::optional<double> seconds_left; ///< where the tree's time stands still; the session's to know
};
/// The tree as it is now; texts of live threads are left out, ask the thread.
struct tree_status {
  std::shared_ptr<const tree> value;
};

// ---- training ----

struct rollout_batch; // trainer/

/// Asks for the trees of a training step; only its trainer asks, once for each step.
struct group_request {
  std::int64_t step = 0;
};
struct tree_groups {
  std::shared_ptr<const rollout_batch> value;
  double rollout_s = 0; ///< from the first tree's start to the last one's end
};

struct weights_published {
  std::uint32_t epoch = 0;
};

enum class trainer_phase : std::uint8_t { setting_out, waiting, learning, publishing, ended };

struct trainer_status {
  std::int64_t learnt = 0; ///< steps
  trainer_phase phase = trainer_phase::setting_out;
};

struct rollout_status {
  std::vector<std::int64_t> open_steps; ///< that trees are rolled out for, oldest first
  std::uint64_t running = 0, due = 0;   ///< trees
};

} // namespace banyan

// Messages stay within one process for now: what crosses machines will travel as Protobuf bytes.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::accept_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::accepted_tree)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::sequence_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::sequence_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::cancel_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::decode_cancel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::decode_progress)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::decode_reply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::decode_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::decode_watch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::end_thread)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::finished_tree)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::group_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::lease_release)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::node_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::pool_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::resume_thread)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::rollout_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::solution)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::solve_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::spawn_notice)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::spawn_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::start_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::steer_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::store_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::thread_boundary)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::thread_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::thread_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::thread_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::token_grant)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::token_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::trainer_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_accepted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_boundary)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_groups)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_state)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::tree_work)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::watch_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::weights_published)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::weights_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(banyan::weights_taken)
