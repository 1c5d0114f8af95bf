#pragma once

#include "actors/event_hub.hpp"
#include "actors/guarded_promise.hpp"
#include "actors/node.hpp"
#include "actors/tree_ids.hpp"
#include "actors/tree_queue.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/sec.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

struct running_tree {
  session_actor session;
  bool stored_at_best = false; ///< see solve_request
  bool paused = false;         ///< as a whole: it leaves its place to another one
  bool counted = false;        ///< it is over

  bool takes_place() const { return !stored_at_best && !paused; }
};

/// A tree that the store does not have yet.
struct arriving_tree {
  tree_work work;
  std::optional<guarded_promise<finished_tree>> asker;
  std::vector<std::function<void()>> after; ///< what is wished of it meanwhile
};

struct node_state {
  static inline const char* name = "banyan.node";

  node_state(node_actor::stateful_pointer<node_state> self) : self(self), ids(0) {}

  void begin(node_options);
  caf::result<finished_tree> solve(solve_request&);
  caf::result<accepted_tree> accept(accept_request&);
  void take(tree_work, std::optional<guarded_promise<finished_tree>> asker,
            const std::function<void(errc)>& then = {});
  void settle(const std::string& id, errc);
  void withdraw(const std::string& id);
  void enqueue(tree_work, std::optional<guarded_promise<finished_tree>> asker);
  void take_up(tree_work&);
  void watch(const watch_request&) const;
  void cancel(const cancel_request&);
  caf::result<tree_status> steer(const steer_request&);
  caf::result<tree_status> steer_waiting(const steer_request&);
  caf::result<tree_status> steer_later(const steer_request&);
  caf::result<tree_status> give_up_by_hand(const std::string& id);
  void tell_changed(const std::string& id, const std::vector<thread_record>&,
                    std::int64_t used_ms) const;
  caf::result<tree_status> show(const tree_request&);
  caf::result<thread_status> show(const thread_request&) const;
  caf::result<stored> keep(const finished_tree&);
  void end(const std::shared_ptr<const tree>&);
  void count(const std::shared_ptr<const tree>&);
  caf::result<stored> keep(const tree_state&);
  void close();
  void strand();
  void drain();
  void park();
  caf::result<node_status> status();
  void lose(const caf::down_msg&);

  caf::expected<std::int64_t> admit(solve_request&);
  void start_next();
  void begin(queued_tree);
  using on_end = std::function<void(const caf::expected<finished_tree>&)>;
  void give_up(queued_tree, on_end = {});
  void tell(tree_event::kind, const std::string& id, tree_phase, std::int64_t at_ms) const;
  void say(tree_news::kind what, const std::string& id, std::shared_ptr<const tree> t = {}) const {
    if (options.news) options.news({what, id, std::move(t), {}});
  }
  void leave_if_done();
  running_tree* find_running(const std::string& id);
  const running_tree* find_running(const std::string& id) const;
  void pass_on(tree_boundary boundary) const {
    if (options.store) self->send(options.store, std::move(boundary));
  }
  /// Calls `then` when the store has written it, with none or the error; at once without a store.
  /// `overdue` comes before that where the store has not answered in time, and may write it yet.
  template <class Message, class Then>
  void write(
      Message message, Then then, std::function<void()> overdue = [] {}) {
    if (!options.store) return then(errc::none);
    ++writing;
    const auto count_down = [this, then](errc why) {
      --writing;
      then(why);
      leave_if_done();
    };
    self->request(options.store, store_patience, std::move(message))
        .then([count_down](const stored&) { count_down(errc::none); },
              [count_down, overdue](caf::error& why) {
                if (why == caf::sec::request_timeout) overdue();
                count_down(errc_of(why, errc::not_stored));
              });
  }

  node_actor::stateful_pointer<node_state> self;
  node_options options;
  tree_ids ids;
  tree_queue queue;
  std::map<std::string, arriving_tree> arriving; // by id
  bool closed = false;                           // no tree begins any more
  bool stranded = false;                         // for there is no pool left
  std::size_t writing = 0;                     // what the store was given and has not answered for
  std::map<std::string, running_tree> running; // by id
  std::unordered_map<caf::actor_id, std::string> by_session; // the ids of those that run
  std::size_t num_paused = 0;                                // of those that run
  std::size_t places_taken = 0;                              // by those that run
  node_status counted; // what only grows; the rest is filled in when asked for
};

} // namespace banyan
