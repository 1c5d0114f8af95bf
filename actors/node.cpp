#include "actors/node.hpp"

#include "actors/guarded_promise.hpp"
#include "actors/session.hpp"
#include "actors/tree_ids.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// A pool that is in a long step is left out of a status rather than waited for.
constexpr caf::timespan pool_patience = 500ms;

/// A tree that waits for its turn.
struct queued_tree {
  solve_request request;
  std::uint64_t family;
  guarded_promise<finished_tree> asker;
};

struct running_tree {
  std::string id;
  session_actor session;
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
  void cancel(const cancel_request&);
  caf::result<tree_status> show(const tree_request&);
  caf::result<thread_status> show(const thread_request&) const;
  void count(const finished_tree&);
  void drain();
  caf::result<node_status> status();
  void lose(const caf::down_msg&);

  void start_next();
  void give_up(queued_tree);
  void leave_if_done();
  const running_tree* find_running(const std::string& id) const;
  std::deque<queued_tree>::iterator find_queued(const std::string& id);

  node_actor::stateful_pointer<node_state> self;
  node_options options;
  tree_ids ids;
  std::deque<queued_tree> queue;
  std::vector<running_tree> running; // oldest first
  node_status counted;               // what only grows; the rest is filled in when asked for
};

void node_state::begin(node_options given) {
  options = std::move(given);
  ids = tree_ids(options.seed);
  if (!options.reasoning.place) options.reasoning.place = place_evenly(options.pools);
  for (const auto& pool : options.pools) self->monitor(pool.actor);
}

// ---- trees ----

caf::result<finished_tree> node_state::solve(solve_request& request) {
  const auto now = options.reasoning.unix_ms();
  if (counted.draining) return errc::cancelled;
  if (find_running(request.id) || find_queued(request.id) != queue.end())
    return caf::make_error(errc::bad_request, "id: " + request.id + " is taken");
  if (auto planted = plant(request, now); !planted) return std::move(planted.error());
  if (request.id.empty()) request.id = ids.next(now);
  auto promise = self->make_response_promise<finished_tree>();
  queue.push_back({std::move(request), ++counted.accepted, guarded_promise(promise)});
  start_next();
  return promise;
}

void node_state::start_next() {
  while (!queue.empty() && running.size() < options.max_running_trees) {
    auto next = std::move(queue.front());
    queue.pop_front();
    const node_actor me{self}; // a session tells the node first, the node tells the store
    auto actor = self->spawn<caf::monitored>(
        session, session_options{options.reasoning, next.family, tree_store_actor{me}});
    running.push_back({next.request.id, actor});
    next.asker.delegate(actor, std::move(next.request));
  }
}

void node_state::cancel(const cancel_request& request) {
  if (const auto* tree = find_running(request.id)) return self->send(tree->session, request);
  const auto waiting = find_queued(request.id);
  if (waiting == queue.end() || request.thread != "/") return;
  auto taken = std::move(*waiting);
  queue.erase(waiting);
  give_up(std::move(taken));
}

/// Ends a tree before it began.
void node_state::give_up(queued_tree unwanted) {
  const auto now = options.reasoning.unix_ms();
  auto tree = std::move(*plant(unwanted.request, now));
  tree.threads.front().phase = thread_phase::cancelled;
  tree.threads.front().failure = errc::cancelled;
  conclude(tree, now);
  const finished_tree done{std::make_shared<const banyan::tree>(std::move(tree))};
  count(done);
  unwanted.asker.deliver(done);
}

void node_state::count(const finished_tree& done) {
  ++counted.finished;
  counted.solved += done.value->outcome.solved;
  counted.failed += done.value->phase == tree_phase::failed;
  counted.cancelled += done.value->phase == tree_phase::cancelled;
  if (options.store) self->send(options.store, done);
}

void node_state::lose(const caf::down_msg& down) {
  std::erase_if(running, [&](const running_tree& t) { return t.session.address() == down.source; });
  std::erase_if(options.pools,
                [&](const named_pool& pool) { return pool.actor.address() == down.source; });
  start_next();
  leave_if_done();
}

void node_state::drain() {
  counted.draining = true;
  for (auto& waiting : std::exchange(queue, {})) give_up(std::move(waiting));
  for (const auto& tree : running) self->send(tree.session, cancel_request{tree.id});
  leave_if_done();
}

void node_state::leave_if_done() {
  if (counted.draining && running.empty()) self->quit();
}

// ---- status ----

caf::error no_tree(const std::string& id) {
  return caf::make_error(errc::bad_request, "id: no tree " + id + " runs here");
}

caf::result<tree_status> node_state::show(const tree_request& request) {
  if (const auto* tree = find_running(request.id))
    return self->delegate(tree->session, atom::status_v);
  if (const auto waiting = find_queued(request.id); waiting != queue.end())
    return tree_status{std::make_shared<const tree>(
        outline(*plant(waiting->request, options.reasoning.unix_ms())))};
  return no_tree(request.id);
}

caf::result<thread_status> node_state::show(const thread_request& request) const {
  const auto* tree = find_running(request.id);
  if (!tree) return no_tree(request.id);
  return self->delegate(tree->session, request);
}

caf::result<node_status> node_state::status() {
  auto now = counted;
  now.running = running.size();
  now.queued = queue.size();
  for (const auto& tree : running) now.trees.push_back(tree.id);
  for (const auto& waiting : queue) now.trees.push_back(waiting.request.id);
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
            [open](caf::error&) { open->count_down(); });
  return promise;
}

const running_tree* node_state::find_running(const std::string& id) const {
  const auto i = std::ranges::find(running, id, &running_tree::id);
  return i == running.end() ? nullptr : &*i;
}

std::deque<queued_tree>::iterator node_state::find_queued(const std::string& id) {
  return std::ranges::find_if(queue, [&](const queued_tree& q) { return q.request.id == id; });
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
      [&state](const cancel_request& request) { state.cancel(request); },
      [&state](const tree_request& request) { return state.show(request); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](const finished_tree& done) { state.count(done); },
      [&state](atom::drain) { state.drain(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

node_actor spawn_node(caf::actor_system& system, node_options options) {
  return system.spawn(node, std::move(options));
}

} // namespace banyan
