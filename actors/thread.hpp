#pragma once

#include "actors/budget.hpp"
#include "actors/config.hpp"
#include "actors/in_flight.hpp"
#include "actors/interfaces.hpp"
#include "actors/join.hpp"
#include "actors/messages.hpp"
#include "actors/narration.hpp"
#include "actors/status_board.hpp"
#include "actors/transcript.hpp"
#include "solver/trace.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

namespace banyan {

/// What all threads of one tree have in common.
struct tree_context {
  reasoning_options reasoning;
  std::string id;           ///< the tree's
  std::uint64_t family = 0; ///< the tree's number at the pools
  sampling_options sampling;
  std::optional<std::uint32_t> weights_epoch; ///< see `solve_request`
  join_policy join;
  banyan::budget budget;
  time_point deadline;           ///< on the actor system's clock
  std::vector<std::int32_t> ban; ///< see `banned_ids`
  /// Threads tell their session where they could go on from, for the next process: without any pool
  /// they stand still.
  bool recorded = false;
};

/// What is left of a time as a timeout: positive, also where the time is over.
inline caf::timespan at_least_1ms(nanoseconds time) {
  return std::max<nanoseconds>(time, std::chrono::milliseconds(1));
}

struct thread_options {
  std::shared_ptr<const tree_context> tree;
  session_actor session;            ///< whose death ends the thread
  std::optional<named_pool> parent; ///< where the parent decodes; nothing for the root
};

struct thread_state {
  static inline const char* name = "banyan.thread";

  thread_state(thread_actor::stateful_pointer<thread_state>);

  void start(start_request&);
  void retry();
  void hear(const decode_progress&);
  caf::result<thread_status> show(const thread_request&);
  void end(errc why);
  void halt(thread_phase as);
  void go_on_after_pause(const resume_thread&);
  void watch(const watch_request&);
  caf::error caught(std::exception_ptr&);

  void restore(const start_request&);
  void take_seat();
  void stand_without_pool();
  void decode();
  void decode(std::uint32_t max_tokens);
  decode_request request(std::uint32_t max_tokens) const;
  void break_off(bool will_return);
  void recover(const caf::error&);
  void wait_for_room();
  void read(const decode_reply&);
  void act(trace_verdict, finish_reason);
  void go_on(finish_reason);
  void spawn(std::vector<std::string> prompts);
  void await_children(std::vector<std::string> prompts);
  void ask_for_child(std::uint32_t index);
  void arrive(std::uint32_t round, std::uint32_t index, child_result);
  void look_at_join();
  void look_by(time_point, time_point now);
  void resume();
  void stay();
  void finish(std::string solution);
  void fail(errc);
  void close_text();
  void enter(thread_phase);
  void mark_boundary();
  void tell_boundary();
  void report();
  void tell(tree_event::kind, std::size_t position, std::string text,
            std::vector<std::string> children = {});
  void tell_text(std::size_t begin, std::string_view text);
  thread_status status(sequence_status at_pool) const;
  nanoseconds time_left() const;

  thread_actor::stateful_pointer<thread_state> self;
  thread_options options;
  thread_record record;
  std::optional<transcript> text;
  std::optional<trace> grammar;
  std::optional<thread_allowance> allowance;
  std::optional<banyan::join> children; ///< while waiting
  std::optional<time_point> next_look;  ///< at a join that is due: the earliest that is on its way
  std::uint32_t first_child = 0;        ///< index of the round's first child in the tree
  std::optional<banyan::seat> seat;
  std::vector<pool_actor> lost_pools; ///< asked in vain
  bool refused = false;               ///< one of them lives and could not decode
  in_flight_request in_flight;
  bool asking = false;                ///< the session is asked for tokens
  errc ending = errc::none;           ///< ends with this as soon as no request is on its way
  std::optional<thread_phase> halted; ///< the phase to stay in: paused, or queued for a parked one
  time_point halted_since;
  narration news;
  status_board::loan cell;
};

/// Reasons: decodes, spawns, joins, finishes. Its session gets one `thread_report`, unless the
/// actor dies.
thread_actor::behavior_type reasoning_thread(thread_actor::stateful_pointer<thread_state>,
                                             thread_options);

} // namespace banyan
