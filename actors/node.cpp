#include "actors/node_state.hpp"

#include "actors/planting.hpp"
#include "actors/session.hpp"
#include "actors/waiting_tree.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

namespace banyan {

// ---- begin ----

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
  if (stranded) return caf::make_error(errc::pool_lost);
  if (closed || counted.draining) return caf::make_error(errc::cancelled);
  if (find_running(request.id) || queue.find(request.id) || arriving.contains(request.id))
    return caf::make_error(errc::bad_request, "id: " + request.id + ": it is taken");
  if (auto planted = plant(request, now); !planted) return std::move(planted.error());
  const auto waiting = queue.size() + num_paused + arriving.size();
  if (waiting >= options.max_queued_trees && !request.stored_at_best)
    return caf::make_error(errc::pool_full,
                           std::to_string(waiting) + " trees wait or are paused already");
  if (request.id.empty()) request.id = ids.next(now);
  return now;
}

caf::result<finished_tree> node_state::solve(solve_request& request) {
  const auto now = admit(request);
  if (!now) return now.error();
  auto promise = self->make_response_promise<finished_tree>();
  take({std::move(request), *now, {}, {}}, guarded_promise<finished_tree>(promise));
  return promise;
}

caf::result<accepted_tree> node_state::accept(accept_request& wish) {
  auto& request = wish.request;
  const auto now = admit(request);
  if (!now) return now.error();
  auto promise = self->make_response_promise<accepted_tree>();
  const auto asker = std::make_shared<guarded_promise<accepted_tree>>(promise);
  const auto answer = [asker, id = request.id](errc why) {
    if (why != errc::none) return asker->deliver(caf::make_error(why));
    asker->deliver(accepted_tree{id});
  };
  take({std::move(request), *now, {}, {}}, {}, answer);
  return promise;
}

/// A tree begins when the store has it: of one that is refused nothing is kept.
void node_state::take(tree_work work, std::optional<guarded_promise<finished_tree>> asker,
                      const std::function<void(errc)>& then) {
  const auto id = work.request.id;
  const tree_accepted news{std::make_shared<const solve_request>(work.request), work.created_ms};
  if (work.request.stored_at_best)
    enqueue(std::move(work), std::move(asker));
  else
    arriving.emplace(id, arriving_tree{std::move(work), std::move(asker), {}});
  const auto written = [this, id, then](errc why) {
    settle(id, why);
    if (then) then(why);
  };
  write(news, written, [this, id] { withdraw(id); });
}

/// What the store has not taken in time is refused, and ends in the store if it takes it after all.
void node_state::withdraw(const std::string& id) {
  const auto known = arriving.find(id);
  if (known == arriving.end()) return;
  const auto end = cancelled(known->second.work, options.reasoning.unix_ms());
  caf::anon_send(options.store, finished_tree{std::make_shared<const tree>(end)});
}

/// One that comes while the node ends is begun after the next start; who waits for it hears so.
void node_state::settle(const std::string& id, errc why) {
  auto known = arriving.extract(id);
  if (!known) return;
  auto& tree = known.mapped();
  if (why != errc::none && tree.asker) tree.asker->deliver(caf::make_error(why));
  if (closed || counted.draining) tree.asker.reset();
  if (why == errc::none && !counted.draining) enqueue(std::move(tree.work), std::move(tree.asker));
  for (const auto& wish : tree.after) wish();
}

void node_state::enqueue(tree_work work, std::optional<guarded_promise<finished_tree>> asker) {
  tell(tree_event::kind::tree, work.request.id, tree_phase::queued, options.reasoning.unix_ms());
  say(tree_news::kind::accepted, work.request.id);
  const bool at_once = work.request.stored_at_best;
  queued_tree waiting{std::move(work), ++counted.accepted, std::move(asker)};
  if (at_once) return begin(std::move(waiting));
  queue.add(std::move(waiting));
  start_next();
}

/// The store may still take it for one that runs.
void node_state::take_up(tree_work& work) {
  const auto id = work.request.id;
  if (counted.draining || find_running(id) || queue.find(id)) return;
  if (!plant(work.request, work.created_ms)) return say(tree_news::kind::left_alone, id);
  say(tree_news::kind::recovered, id);
  queue.add({std::move(work), ++counted.accepted, {}});
  start_next();
  if (const auto* waiting = queue.find(id))
    write(tree_state{id, is_paused(waiting->work) ? tree_phase::paused : tree_phase::queued,
                     waiting->work.halted},
          [](errc) {});
}

void node_state::start_next() {
  if (closed) return;
  auto room = options.max_running_trees - std::min(options.max_running_trees, places_taken);
  for (; room > 0; --room) {
    auto next = queue.take_next();
    if (!next) return;
    begin(std::move(*next));
  }
}

void node_state::begin(queued_tree next) {
  const node_actor me{self}; // a session tells the node first, the node tells the store
  const auto actor = self->spawn<caf::monitored>(
      session, session_options{options.reasoning, next.family, tree_keeper_actor{me},
                               options.store && !next.work.request.stored_at_best});
  const auto& request = next.work.request;
  const running_tree tree{actor, request.stored_at_best};
  places_taken += tree.takes_place();
  running.emplace(request.id, tree);
  by_session.emplace(actor.id(), request.id);
  if (next.asker)
    next.asker->delegate(actor, std::move(next.work));
  else
    caf::anon_send(actor, std::move(next.work)); // nobody hears its answer
}

void node_state::watch(const watch_request& wish) const {
  if (const auto* tree = find_running(wish.id)) self->send(tree->session, wish);
}

void node_state::cancel(const cancel_request& request) {
  if (const auto known = arriving.find(request.id); known != arriving.end())
    return known->second.after.push_back([this, request] { cancel(request); });
  if (const auto* tree = find_running(request.id)) return self->send(tree->session, request);
  if (request.thread != "/") return;
  if (auto waiting = queue.take(request.id)) give_up(std::move(*waiting));
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
      queue.add(std::move(*unwanted));
      start_next();
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
  if (!options.store) {
    end(done.value);
    return stored{};
  }
  auto promise = self->make_response_promise<stored>();
  const auto asker = std::make_shared<guarded_promise<stored>>(promise);
  self->request(options.store, store_patience, done)
      .then(
          [this, asker, done](stored known) {
            end(done.value);
            asker->deliver(known);
          },
          [this, asker, done](caf::error& why) {
            const auto* tree = find_running(done.value->id);
            if (tree && tree->stored_at_best) end(done.value);
            asker->deliver(std::move(why));
          });
  return promise;
}

/// Until its end is stored a tree runs. A session that heard of that too late tells it again.
void node_state::end(const std::shared_ptr<const tree>& value) {
  auto* known = find_running(value->id);
  if (!known || !std::exchange(known->counted, true)) count(value);
}

caf::result<stored> node_state::keep(const tree_state& news) {
  const bool paused = news.phase == tree_phase::paused;
  auto* tree = find_running(news.id);
  if (tree && tree->paused != paused) {
    places_taken -= tree->takes_place();
    tree->paused = paused;
    places_taken += tree->takes_place();
    paused ? ++num_paused : --num_paused;
    start_next();
  }
  if (!options.store) return stored{};
  return self->delegate(options.store, news);
}

void node_state::lose(const caf::down_msg& down) {
  if (const auto gone = by_session.extract(down.source.id())) {
    const auto tree = running.extract(gone.mapped());
    num_paused -= tree.mapped().paused;
    places_taken -= tree.mapped().takes_place();
    if (down.reason && down.reason != caf::exit_reason::normal && options.news)
      options.news({tree_news::kind::lost, tree.key(), nullptr, to_string(down.reason)});
  }
  const auto lost_pools = std::erase_if(
      options.pools, [&](const named_pool& pool) { return pool.actor.address() == down.source; });
  if (lost_pools > 0 && options.pools.empty() && options.store) strand();
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

// ---- the end ----

/// Who waits for a tree that will not begin here hears at once that it is kept.
void node_state::close() {
  closed = true;
  queue.release_askers();
  for (const auto& [id, tree] : running) self->send(tree.session, atom::close_v);
}

/// Nobody can decode any more. What is kept goes on after the next start; the rest is lost at once.
void node_state::strand() {
  stranded = true;
  close();
  for (const auto& [id, tree] : running)
    if (!tree.stored_at_best) self->send(tree.session, atom::park_v);
}

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

// ---- the trees that run ----

const running_tree* node_state::find_running(const std::string& id) const {
  const auto i = running.find(id);
  return i == running.end() ? nullptr : &i->second;
}

running_tree* node_state::find_running(const std::string& id) {
  return const_cast<running_tree*>(std::as_const(*this).find_running(id));
}

namespace {

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
      [&state](const tree_state& news) { return state.keep(news); },
      [&state](const steer_request& request) { return state.steer(request); },
      [&state](const watch_request& wish) { state.watch(wish); },
      [&state](const cancel_request& request) { state.cancel(request); },
      [&state](const tree_request& request) { return state.show(request); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](const finished_tree& done) { return state.keep(done); },
      [&state](atom::drain) { state.drain(); },
      [&state](atom::close) { state.close(); },
      [&state](atom::park) { state.park(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

node_actor spawn_node(caf::actor_system& system, node_options options) {
  return system.spawn(node, std::move(options));
}

} // namespace banyan
