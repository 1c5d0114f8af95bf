#pragma once

#include "actors/budget.hpp"
#include "actors/config.hpp"
#include "actors/guarded_promise.hpp"
#include "actors/interfaces.hpp"
#include "actors/messages.hpp"
#include "actors/thread.hpp"
#include "actors/tree_clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <caf/typed_event_based_actor.hpp>

namespace banyan {

struct session_options {
  reasoning_options reasoning;
  std::uint64_t family = 1; ///< the tree's number at the pools; older trees have lower ones
  tree_keeper_actor store;  ///< gets the finished tree before the client, and what state it is in;
                            ///< may be null
  bool recorded = false;    ///< the store gets every boundary too, for the next process
};

struct session_state {
  static inline const char* name = "banyan.session";

  /// A message on its way keeps a dead actor's memory: no tick is farther away than this.
  static constexpr nanoseconds longest_tick = std::chrono::seconds(1);

  /// A live thread.
  struct member {
    std::string path;
    thread_actor actor;
    std::optional<guarded_promise<solution>> asker; ///< the parent's request; nothing for the root
    errc ending = errc::none;                       ///< why it was told to end
    bool parked = false;                            ///< its last boundary is where it is
    bool paused = false;                            ///< it stays where it is
  };

  /// Who steered, and waits until that has come about.
  struct steering {
    steer_request wish;
    guarded_promise<tree_status> asker;
    time_point until;  ///< then it hears how the tree is, whatever has come about
    bool kept = false; ///< the store was told
  };

  session_state(session_actor::stateful_pointer<session_state>);

  caf::result<finished_tree> solve(const tree_work&);
  void see_weights(const thread_record&, const pool_gauge*);
  void open_round(spawn_notice&);
  caf::result<solution> answer(const spawn_request&);
  caf::result<token_grant> grant(const token_request&);
  void keep(thread_boundary&);
  void close(thread_report&);
  void lose(const caf::down_msg&);
  void cancel(const cancel_request&);
  caf::result<tree_status> steer(const steer_request&);
  void park();
  void close();
  void park_if_stuck();
  bool can_go_on() const;
  void watch(const watch_request&);
  void tick();
  caf::result<thread_status> show(const thread_request&);
  tree_status status(bool texts = false) const;

  void plant_past(const std::vector<thread_record>&);
  member& start(thread_record&, std::optional<named_pool> parent);
  void refuse(thread_record&, errc why) const;
  thread_record& add(const std::string& path);
  thread_record* find(std::string_view path);
  member* live(std::string_view path);
  void pause_below(const std::string& path);
  void resume_below(const std::string& path);
  bool has_come_about(const steer_request&) const;
  void answer_steered();
  void enter(tree_phase);
  void keep_state();
  void tell_refused(const thread_record&) const;
  thread_request with_time(thread_request) const;
  void record(const thread_record&) const;
  void end_below(const std::string& path, errc why);
  void bury(std::map<caf::actor_id, member>::iterator);
  void leave_if_parked();
  void finish();
  void tick_in(nanoseconds); ///< at most `longest_tick`
  void store(const finished_tree&);
  void leave(const finished_tree&);
  void tell_phase() const;
  member* sender();

  session_actor::stateful_pointer<session_state> self;
  session_options options;
  banyan::tree tree;
  std::shared_ptr<const tree_context> context;
  bool stored_at_best = false; ///< see solve_request
  std::optional<tree_ledger> ledger;
  std::optional<guarded_promise<finished_tree>> asker;
  std::map<std::string, std::size_t, std::less<>> places; ///< of threads in the tree, by path
  std::map<caf::actor_id, member> members;
  std::map<std::string, caf::actor_id, std::less<>> ids; ///< of the live ones, by path
  halted_paths halted;
  bool closed = false, parking = false, ticking = false;
  std::optional<finished_tree> unstored; ///< the end, while the store has no room for it
  tree_clock clock;
  std::vector<steering> steered;
  std::size_t unkept = 0; ///< states of the tree that the store does not have yet
};

/// Owns one tree. It ends by itself after the tree's end, and not before it was asked to solve.
session_actor::behavior_type session(session_actor::stateful_pointer<session_state>,
                                     session_options);

session_actor spawn_session(caf::actor_system&, session_options);

} // namespace banyan
