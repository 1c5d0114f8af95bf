#include "actors/node.hpp"

#include "actors/event_hub.hpp"
#include "actors/guarded_promise.hpp"
#include "actors/narration.hpp"
#include "actors/planting.hpp"
#include "actors/session.hpp"
#include "actors/steering.hpp"
#include "actors/tree_ids.hpp"
#include "actors/tree_queue.hpp"
#include "actors/waiting_tree.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// Of a pool that is in a longer step, a status has what it shows meanwhile.
constexpr caf::timespan pool_patience = 30ms;

/// A store that says nothing for so long has not stored.
constexpr caf::timespan store_patience = 60s;

struct running_tree {
  session_actor session;
  bool paused = false;  ///< as a whole: it leaves its place to another one
  bool counted = false; ///< it is over, and was not stored at once
};

/// A status that still waits for pools; the last answer sends it.
struct open_status {
  node_status value;
  guarded_promise<node_status> asker;
  std::size_t waiting_for;

  void count_down() {
    if (--waiting_for > 0) return;
    std::ranges::sort(value.pools, {}, &pool_status::name);
    asker.deliver(std::move(value));
  }
};

struct node_state {
  static inline const char* name = "banyan.node";

  node_state(node_actor::stateful_pointer<node_state> self) : self(self), ids(0) {}

  void begin(node_options);
  caf::result<finished_tree> solve(solve_request&);
  caf::result<accepted_tree> accept(accept_request&);
  void enqueue(tree_work, std::optional<guarded_promise<finished_tree>> asker);
  void take_up(tree_work&);
  void watch(const watch_request&) const;
  void cancel(const cancel_request&);
  caf::result<tree_status> steer(const steer_request&);
  caf::result<tree_status> steer_waiting(const steer_request&);
  caf::result<tree_status> give_up_by_hand(const std::string& id);
  void tell_changed(const std::string& id, const std::vector<thread_record>&,
                    std::int64_t used_ms) const;
  caf::result<tree_status> show(const tree_request&);
  caf::result<thread_status> show(const thread_request&) const;
  caf::result<stored> keep(const finished_tree&);
  void count(const std::shared_ptr<const tree>&);
  void drain();
  void park();
  caf::result<node_status> status();
  void lose(const caf::down_msg&);

  caf::expected<std::int64_t> admit(solve_request&);
  void start_next();
  void refuse(const std::string& id, errc);
  using on_end = std::function<void(const caf::expected<finished_tree>&)>;
  void give_up(queued_tree, on_end = {});
  void tell(tree_event::kind, const std::string& id, tree_phase, std::int64_t at_ms) const;
  void say(tree_news::kind what, const std::string& id, std::shared_ptr<const tree> t = {}) const {
    if (options.news) options.news({what, id, std::move(t), {}});
  }
  void leave_if_done();
  std::size_t num_paused() const; // of those that run
  running_tree* find_running(const std::string& id);
  const running_tree* find_running(const std::string& id) const;
  void pass_on(tree_boundary boundary) const {
    if (options.store) self->send(options.store, std::move(boundary));
  }
  template <class Message>
  caf::result<stored> keep_in_store(const Message& message) const {
    if (!options.store) return stored{};
    return self->delegate(options.store, message);
  }
  /// Calls `then` when the store has written it, with none or the error; at once without a store.
  template <class Message, class Then>
  void write(Message message, Then then) {
    if (!options.store) return then(errc::none);
    ++writing;
    const auto count_down = [this, then](errc why) {
      --writing;
      then(why);
      leave_if_done();
    };
    self->request(options.store, store_patience, std::move(message))
        .then([count_down](const stored&) { count_down(errc::none); },
              [count_down](caf::error& why) { count_down(errc_of(why, errc::not_stored)); });
  }

  node_actor::stateful_pointer<node_state> self;
  node_options options;
  tree_ids ids;
  tree_queue queue;
  std::size_t accepting = 0;                   // requests that the store does not have yet
  std::size_t writing = 0;                     // what the store was given and has not answered for
  std::map<std::string, running_tree> running; // by id
  node_status counted; // what only grows; the rest is filled in when asked for
};

void node_state::begin(node_options given) {
  options = std::move(given);
  ids = tree_ids(options.seed);
  if (!options.reasoning.place) options.reasoning.place = place_evenly(options.pools);
  for (const auto& pool : options.pools) self->monitor(pool.actor);
}

// ---- trees ----

/// Checks a request and gives it an id; the time when it was taken.
caf::expected<std::int64_t> node_state::admit(solve_request& request) {
  const auto now = options.reasoning.unix_ms();
  if (counted.draining) return caf::make_error(errc::cancelled);
  if (find_running(request.id) || queue.find(request.id))
    return caf::make_error(errc::bad_request, "id: " + request.id + ": it is taken");
  if (auto planted = plant(request, now); !planted) return std::move(planted.error());
  const auto waiting = queue.size() + num_paused() + accepting;
  if (waiting >= options.max_queued_trees)
    return caf::make_error(errc::pool_full,
                           std::to_string(waiting) + " trees wait or are paused already");
  if (request.id.empty()) request.id = ids.next(now);
  return now;
}

caf::result<finished_tree> node_state::solve(solve_request& request) {
  const auto now = admit(request);
  if (!now) return now.error();
  write(tree_accepted{std::make_shared<const solve_request>(request), *now},
        [this, id = request.id, unstored = request.stored_at_best](errc why) {
          if (why != errc::none && !unstored) refuse(id, why);
        });
  auto promise = self->make_response_promise<finished_tree>();
  guarded_promise<finished_tree> asker(promise);
  enqueue({std::move(request), *now, {}, {}}, std::move(asker));
  return promise;
}

caf::result<accepted_tree> node_state::accept(accept_request& wish) {
  auto& request = wish.request;
  const auto now = admit(request);
  if (!now) return now.error();
  const auto kept = std::make_shared<const solve_request>(std::move(request));
  auto promise = self->make_response_promise<accepted_tree>();
  const auto asker = std::make_shared<guarded_promise<accepted_tree>>(promise);
  ++accepting;
  write(tree_accepted{kept, *now}, [this, kept, now, asker](errc why) {
    --accepting;
    if (why != errc::none) return asker->deliver(caf::make_error(why));
    // One that drains begins it after the next start.
    if (!counted.draining) enqueue({*kept, *now, {}, {}}, {});
    asker->deliver(accepted_tree{kept->id});
  });
  return promise;
}

void node_state::enqueue(tree_work work, std::optional<guarded_promise<finished_tree>> asker) {
  tell(tree_event::kind::tree, work.request.id, tree_phase::queued, options.reasoning.unix_ms());
  say(tree_news::kind::accepted, work.request.id);
  queue.push_back({std::move(work), ++counted.accepted, std::move(asker)});
  start_next();
}

/// The store may still take it for one that runs.
void node_state::take_up(tree_work& work) {
  const auto id = work.request.id;
  if (counted.draining || find_running(id) || queue.find(id)) return;
  if (!plant(work.request, work.created_ms)) return say(tree_news::kind::left_alone, id);
  say(tree_news::kind::recovered, id);
  queue.push_back({std::move(work), ++counted.accepted, {}});
  start_next();
  if (const auto* waiting = queue.find(id))
    write(tree_state{id, is_paused(*waiting) ? tree_phase::paused : tree_phase::queued,
                     waiting->work.halted},
          [](errc) {});
}

void node_state::start_next() {
  const auto busy = running.size() - num_paused();
  auto room = options.max_running_trees - std::min(options.max_running_trees, busy);
  for (; room > 0; --room) {
    auto next = queue.take_next();
    if (!next) return;
    const node_actor me{self}; // a session tells the node first, the node tells the store
    const auto actor = self->spawn<caf::monitored>(
        session, session_options{options.reasoning, next->family, tree_keeper_actor{me},
                                 static_cast<bool>(options.store)});
    running.emplace(next->work.request.id, running_tree{actor});
    if (next->asker)
      next->asker->delegate(actor, std::move(next->work));
    else
      caf::anon_send(actor, std::move(next->work)); // nobody hears its answer
  }
}

void node_state::watch(const watch_request& wish) const {
  if (const auto* tree = find_running(wish.id)) self->send(tree->session, wish);
}

void node_state::cancel(const cancel_request& request) {
  if (const auto* tree = find_running(request.id)) return self->send(tree->session, request);
  if (request.thread != "/") return;
  if (auto waiting = queue.take(request.id)) give_up(std::move(*waiting));
}

/// A tree that is not stored should not wait for its turn. If it runs, its end may be stored.
void node_state::refuse(const std::string& id, errc why) {
  auto waiting = queue.take(id);
  if (waiting && waiting->asker) waiting->asker->deliver(caf::make_error(why));
}

/// Ends a tree before its turn came. It has ended when the store knows; where it cannot, the tree
/// waits on.
void node_state::give_up(queued_tree waiting, on_end then) {
  const auto now = options.reasoning.unix_ms();
  const auto unwanted = std::make_shared<queued_tree>(std::move(waiting));
  const finished_tree done{std::make_shared<const tree>(cancelled(unwanted->work, now))};
  write(done, [this, unwanted, done, then](errc why) {
    const auto end = why == errc::none ? caf::expected<finished_tree>(done)
                                       : caf::expected<finished_tree>(caf::make_error(why));
    if (auto& asker = unwanted->asker) end ? asker->deliver(*end) : asker->deliver(end.error());
    if (then) then(end);
    if (end) {
      count(done.value);
      if (options.reasoning.events) options.reasoning.events->publish(end_of(*done.value));
    } else if (!counted.draining) {
      unwanted->asker.reset();
      queue.push_back(std::move(*unwanted));
    }
  });
}

void node_state::count(const std::shared_ptr<const tree>& ended) {
  const auto& tree = *ended;
  say(tree_news::kind::finished, tree.id, ended);
  ++counted.finished;
  counted.solved += tree.outcome.solved;
  counted.failed += tree.phase == tree_phase::failed;
  counted.cancelled += tree.phase == tree_phase::cancelled;
  if (tree.failure != errc::none) ++counted.failures[tree.failure];
  for (const auto& thread : tree.threads) {
    if (thread.failure != errc::none) ++counted.thread_failures[thread.failure];
    counted.generated_tokens += thread.generated_tokens();
  }
  counted.threads += tree.usage().threads;
}

caf::result<stored> node_state::keep(const finished_tree& done) {
  auto* known = find_running(done.value->id);
  if (!known || !std::exchange(known->counted, true)) count(done.value);
  return keep_in_store(done);
}

void node_state::lose(const caf::down_msg& down) {
  std::erase_if(running, [&](const auto& tree) {
    if (tree.second.session.address() != down.source) return false;
    if (down.reason && down.reason != caf::exit_reason::normal && options.news)
      options.news({tree_news::kind::lost, tree.first, nullptr, to_string(down.reason)});
    return true;
  });
  std::erase_if(options.pools,
                [&](const named_pool& pool) { return pool.actor.address() == down.source; });
  if (!counted.draining) start_next();
  leave_if_done();
}

void node_state::tell(tree_event::kind what, const std::string& id, tree_phase phase,
                      std::int64_t at_ms) const {
  if (!options.reasoning.events) return;
  tree_event e;
  e.what = what;
  e.tree = id;
  e.at_ms = at_ms;
  e.state = to_string(phase);
  options.reasoning.events->publish(std::move(e));
}

// ---- by hand ----

caf::error no_tree(const std::string& id) {
  return caf::make_error(errc::not_found, "id: " + id + ": no such tree runs here");
}

caf::result<tree_status> node_state::steer(const steer_request& request) {
  if (auto* tree = find_running(request.id)) {
    if (request.thread == "/" && request.action != tree_action::cancel) {
      tree->paused = request.action == tree_action::pause;
      start_next();
    }
    return self->delegate(find_running(request.id)->session, request);
  }
  if (!queue.find(request.id)) return no_tree(request.id);
  if (request.thread == "/" && request.action == tree_action::cancel)
    return give_up_by_hand(request.id);
  return steer_waiting(request);
}

caf::result<tree_status> node_state::give_up_by_hand(const std::string& id) {
  auto promise = self->make_response_promise<tree_status>();
  const auto asker = std::make_shared<guarded_promise<tree_status>>(promise);
  give_up(std::move(*queue.take(id)), [asker](const caf::expected<finished_tree>& end) {
    if (!end) return asker->deliver(end.error());
    asker->deliver(tree_status{std::make_shared<const tree>(outline(*end->value))});
  });
  return promise;
}

/// What was done is answered when the store knows it.
caf::result<tree_status> node_state::steer_waiting(const steer_request& request) {
  caf::expected<std::vector<thread_record>> changed{caf::error{}};
  queue.change(request.id, [&](tree_work& work) {
    changed = banyan::steer(work, request, options.reasoning.unix_ms());
  });
  if (!changed) return std::move(changed.error());
  const auto& work = queue.find(request.id)->work;
  tell_changed(request.id, *changed, work.used_ms);
  auto seen = std::make_shared<const tree>(outline(shown(work)));
  if (request.thread == "/")
    tell(tree_event::kind::tree, request.id, seen->phase, options.reasoning.unix_ms());
  auto promise = self->make_response_promise<tree_status>();
  const auto asker = std::make_shared<guarded_promise<tree_status>>(promise);
  write(tree_state{request.id, seen->phase, work.halted}, [asker, seen](errc why) {
    if (why != errc::none) return asker->deliver(caf::make_error(why));
    asker->deliver(tree_status{seen});
  });
  start_next();
  return promise;
}

void node_state::tell_changed(const std::string& id, const std::vector<thread_record>& changed,
                              std::int64_t used_ms) const {
  narration news;
  news.open({options.reasoning.events, id, options.reasoning.unix_ms}, false);
  for (const auto& thread : changed) {
    pass_on(tree_boundary{id, std::make_shared<const thread_record>(thread), used_ms});
    news.tell(tree_event::kind::thread, thread, thread.generated_tokens(), {});
  }
}

// ---- the end ----

void node_state::drain() {
  counted.draining = true;
  for (auto& waiting : queue.take_all()) give_up(std::move(waiting));
  for (const auto& [id, tree] : running) self->send(tree.session, cancel_request{id});
  leave_if_done();
}

void node_state::park() {
  counted.draining = true;
  queue = {};
  for (const auto& [id, tree] : running) self->send(tree.session, atom::park_v);
  leave_if_done();
}

void node_state::leave_if_done() {
  if (counted.draining && running.empty() && writing == 0) self->quit();
}

// ---- status ----

caf::result<tree_status> node_state::show(const tree_request& request) {
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  const auto* waiting = queue.find(request.id);
  if (!waiting) return no_tree(request.id);
  auto seen = shown(waiting->work);
  if (!request.texts) seen = outline(seen);
  return tree_status{std::make_shared<const tree>(std::move(seen))};
}

caf::result<thread_status> node_state::show(const thread_request& request) const {
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  const auto* waiting = queue.find(request.id);
  if (!waiting) return no_tree(request.id);
  auto seen = shown(waiting->work);
  auto* thread = seen.find(request.thread);
  if (!thread) return no_thread(request.thread);
  return thread_status{std::move(*thread), false, {}, 0, 0, 0};
}

caf::result<node_status> node_state::status() {
  auto now = counted;
  now.running = running.size();
  now.queued = queue.size();
  now.queued_paused = queue.num_paused();
  now.paused = queue.num_paused() + num_paused();
  now.pools_alive = options.pools.size();
  for (const auto& [id, tree] : running) now.trees.push_back(id);
  if (options.pools.empty()) return now;
  auto promise = self->make_response_promise<node_status>();
  auto open = std::make_shared<open_status>(
      open_status{std::move(now), guarded_promise(promise), options.pools.size()});
  for (const auto& pool : options.pools)
    self->request(pool.actor, pool_patience, atom::status_v)
        .then(
            [open](pool_status& one) {
              open->value.pools.push_back(std::move(one));
              open->count_down();
            },
            [open, pool](caf::error&) {
              if (pool.gauge) open->value.pools.push_back(pool.gauge->now());
              open->count_down();
            });
  return promise;
}

std::size_t node_state::num_paused() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(running, [](const auto& tree) { return tree.second.paused; }));
}

const running_tree* node_state::find_running(const std::string& id) const {
  const auto i = running.find(id);
  return i == running.end() ? nullptr : &i->second;
}

running_tree* node_state::find_running(const std::string& id) {
  return const_cast<running_tree*>(std::as_const(*this).find_running(id));
}

node_actor::behavior_type node(node_actor::stateful_pointer<node_state> self,
                               node_options options) {
  auto& state = self->state;
  state.begin(std::move(options));
  self->set_default_handler(caf::drop);
  self->set_exception_handler(lost_by);
  self->set_down_handler([&state](caf::down_msg& down) { state.lose(down); });
  return {
      [&state](solve_request& request) { return state.solve(request); },
      [&state](accept_request& request) { return state.accept(request); },
      [&state](tree_work& work) { state.take_up(work); },
      [&state](tree_boundary& boundary) { state.pass_on(std::move(boundary)); },
      [&state](const tree_state& news) { return state.keep_in_store(news); },
      [&state](const steer_request& request) { return state.steer(request); },
      [&state](const watch_request& wish) { state.watch(wish); },
      [&state](const cancel_request& request) { state.cancel(request); },
      [&state](const tree_request& request) { return state.show(request); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](const finished_tree& done) { return state.keep(done); },
      [&state](atom::drain) { state.drain(); },
      [&state](atom::park) { state.park(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

node_actor spawn_node(caf::actor_system& system, node_options options) {
  return system.spawn(node, std::move(options));
}

} // namespace banyan
