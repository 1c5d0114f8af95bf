#include "actors/session.hpp"

#include "actors/planting.hpp"
#include "actors/steering.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <caf/actor_system.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

segment prompt_segment(std::string text) {
  return {segment_kind::prompt, std::move(text), {}, {}, {}};
}

} // namespace

// ---- begin ----

session_state::session_state(session_actor::stateful_pointer<session_state> self) : self(self) {}

caf::result<finished_tree> session_state::solve(const tree_work& work) {
  if (context) return errc::bad_request; // one session, one tree
  const auto created = work.created_ms > 0 ? work.created_ms : options.reasoning.unix_ms();
  auto planted = plant(work.request, created);
  if (!planted) {
    self->quit();
    return std::move(planted.error());
  }
  tree = std::move(*planted);
  places = {{"/", 0}};
  clock.begin(self->clock().now(), std::chrono::milliseconds(work.used_ms));
  stored_at_best = work.request.stored_at_best;
  ledger.emplace(work.request.budget);
  context = std::make_shared<tree_context>(tree_context{
      options.reasoning, tree.id, options.family, work.request.sampling, work.request.weights_epoch,
      work.request.join, work.request.budget, deadline_of(work.request.budget, clock.since()),
      banned_ids(options.reasoning.codec), options.recorded});
  auto promise = self->make_response_promise<finished_tree>();
  asker.emplace(promise);
  halted = work.halted;
  if (halted.contains("/")) clock.pause(self->clock().now());
  plant_past(work.past);
  enter(halted.contains("/") ? tree_phase::paused : tree_phase::running);
  start(tree.threads.front(), {});
  tick();
  return promise;
}

/// Threads as they were before: those that had ended stay as they are, the others wait to be asked
/// for by their parent.
void session_state::plant_past(const std::vector<thread_record>& past) {
  for (const auto& known : past) {
    if (known.path != "/" && !find(known.parent())) continue;
    auto& record = known.path == "/" ? tree.threads.front() : add(known.path);
    record = known;
    lay_down(record);
    if (!record.refused()) ledger->open_thread(record.depth);
    ledger->settle(record.path, record.generated_tokens());
  }
  if (past.empty()) ledger->open_thread(0);
}

session_state::member& session_state::start(thread_record& record,
                                            std::optional<named_pool> parent) {
  // The thread will ask the same and be told the same, unless that pool is lost.
  const auto place = options.reasoning.place({options.family, record.path, parent, {}});
  if (place) record.pool = place->name;
  see_weights(record, place ? place->gauge.get() : nullptr);
  start_request request{record.path,
                        record.segments.front().text,
                        {},
                        is_halted(halted, record.path),
                        options.reasoning.events && options.reasoning.events->watched(tree.id)};
  request.past.history = record.history;
  if (record.segments.size() > 1) {
    request.past = record;
    record.segments.resize(1); // the thread has the rest until it reports
  }
  record.phase = thread_phase::decoding;
  record.since_ms = options.reasoning.unix_ms();
  record.node = options.reasoning.node;
  auto actor = self->spawn<caf::monitored>(
      reasoning_thread, thread_options{context, session_actor{self}, std::move(parent)});
  self->send(actor, std::move(request));
  if (parking) self->send(actor, atom::park_v);
  const auto id = actor->id();
  ids.emplace(record.path, id);
  return members.emplace(id, member{record.path, std::move(actor)}).first->second;
}

/// A tree's weights are those of its root's first token; until that is on record, those that will
/// sample it, unless its pool takes newer ones before.
void session_state::see_weights(const thread_record& thread, const pool_gauge* pool) {
  if (thread.path != "/") return;
  if (const auto epoch = first_epoch(thread))
    tree.weights_epoch = *epoch;
  else if (pool && !context->weights_epoch)
    tree.weights_epoch = pool->now().weights_epoch;
}

/// All are on record before anybody hears of them, and begin behind that.
void session_state::open_round(spawn_notice& notice) {
  const auto* parent = sender();
  if (!parent || parent->ending != errc::none) return;
  const auto above = parent->path;
  std::vector<std::string> begun, refused;
  for (std::uint32_t i = 0; i < notice.prompts.size(); ++i) {
    auto path = child_path(above, notice.first + i);
    if (const auto* known = find(path)) { // from before a restart
      if (!ended(known->phase)) begun.push_back(std::move(path));
      continue;
    }
    auto& record = add(path);
    record.round = notice.round;
    record.segments.push_back(prompt_segment(std::move(notice.prompts[i])));
    const auto why = ledger->open_thread(record.depth);
    if (why != errc::none) refuse(record, why);
    this->record(record);
    (why == errc::none ? begun : refused).push_back(std::move(path));
  }
  if (options.reasoning.events) options.reasoning.events->publish(std::move(notice.news));
  for (const auto& path : refused) tell_refused(*find(path));
  for (const auto& path : begun) start(*find(path), notice.pool);
}

void session_state::refuse(thread_record& record, errc why) const {
  record.phase = thread_phase::failed;
  record.failure = why;
  record.since_ms = options.reasoning.unix_ms();
  record.history.push_back({record.phase, record.since_ms});
}

caf::result<solution> session_state::answer(const spawn_request& request) {
  const auto* parent = sender();
  if (!parent) return errc::bad_request;
  if (parent->ending != errc::none) return errc::cancelled;
  const auto path = child_path(parent->path, request.index);
  if (auto* child = live(path)) {
    if (child->asker) return errc::bad_request; // nobody may ask twice
    child->asker.emplace(self->make_response_promise<solution>());
    park_if_stuck();
    return child->asker->promise();
  }
  const auto* known = find(path);
  if (!known || !ended(known->phase)) return errc::bad_request;
  if (known->solution) return solution{*known->solution};
  return known->failure;
}

caf::result<token_grant> session_state::grant(const token_request& request) {
  const auto* thread = sender();
  if (!thread || thread->ending != errc::none) return errc::cancelled;
  return token_grant{ledger->reserve(thread->path, request.spent, request.want)};
}

// ---- boundaries ----

void session_state::record(const thread_record& thread) const {
  if (!options.recorded || !options.store) return;
  self->send(options.store, tree_boundary{tree.id, std::make_shared<const thread_record>(thread),
                                          clock.used_ms(self->clock().now())});
}

void session_state::keep(thread_boundary& boundary) {
  auto* thread = sender();
  if (!thread) return;
  auto& known = *find(thread->path);
  auto& now = boundary.record;
  keep_place(now, known);
  see_weights(now, nullptr);
  auto written = std::exchange(now.segments, std::move(known.segments));
  known = now; // without what it wrote: the thread has that until it reports
  now.segments = std::move(written);
  thread->parked = parking;
  thread->paused = now.phase == thread_phase::paused;
  record(now);
  answer_steered();
  leave_if_parked();
}

// ---- end of a thread ----

void session_state::close(thread_report& report) {
  const auto i = members.find(self->current_sender() ? self->current_sender()->id() : 0);
  if (i == members.end()) return;
  auto& known = *find(i->second.path);
  auto& last = report.record;
  ledger->settle(known.path, last.generated_tokens());
  keep_place(last, known);
  if (last.segments.empty()) last.segments = std::move(known.segments);
  known = std::move(last);
  if (known.path != "/") record(known);
  bury(i);
}

void session_state::lose(const caf::down_msg& down) {
  const auto i = members.find(down.source.id());
  if (i == members.end()) return; // it reported before it went
  auto& record = *find(i->second.path);
  record.phase = thread_phase::failed;
  record.failure = errc_of(down.reason, errc::child_lost);
  record.since_ms = options.reasoning.unix_ms();
  ledger->forfeit(record.path);
  bury(i);
}

/// The record of a thread is final: whoever asked for it hears, whoever it asked for ends.
void session_state::bury(std::map<caf::actor_id, member>::iterator i) {
  auto gone = std::move(i->second);
  members.erase(i);
  ids.erase(gone.path);
  const auto& record = *find(gone.path);
  if (gone.asker && record.solution) gone.asker->deliver(solution{*record.solution});
  if (gone.asker) gone.asker->deliver(caf::make_error(record.failure));
  if (find(child_path(gone.path, 0))) end_below(gone.path, errc::cancelled);
  if (members.empty()) return finish();
  answer_steered();
  leave_if_parked();
}

// ---- end of the tree ----

void session_state::cancel(const cancel_request& request) {
  if (unstored) return self->quit();
  const auto* from = sender();
  auto* record = find(request.thread);
  if (from && record && record->parent() == from->path) record->awaited = false;
  end_below(request.thread, errc::cancelled);
}

void session_state::end_below(const std::string& path, errc why) {
  for (auto& [id, member] : members)
    if (member.ending == errc::none && at_or_below(member.path, path)) {
      member.ending = why;
      self->send(member.actor, end_thread{why});
    }
}

void session_state::tick() {
  ticking = false;
  if (unstored) return store(finished_tree(*unstored));
  answer_steered();
  if (!steered.empty()) tick_in(longest_tick);
  if (!context || members.empty()) return;
  if (tree.phase == tree_phase::paused) return; // the time stands still
  const auto left = context->deadline - self->clock().now();
  if (left <= 0s) return end_below("/", errc::deadline);
  tick_in(left);
}

void session_state::tick_in(nanoseconds time) {
  if (!std::exchange(ticking, true))
    self->delayed_send(self, caf::timespan(std::min(time, longest_tick)), atom::tick_v);
}

/// For everybody else the tree has ended when its end is stored: until then it runs.
void session_state::finish() {
  tree.wall_ms = clock.wall_ms(self->clock().now());
  for (auto& thread : tree.threads)
    if (!ended(thread.phase)) { // its parent went on without it, before a restart
      thread.phase = thread_phase::cancelled;
      thread.failure = errc::cancelled;
      thread.awaited = false;
    }
  auto done = tree;
  conclude(done, options.reasoning.unix_ms());
  store({std::make_shared<const banyan::tree>(std::move(done))});
}

/// Whoever waits hears at once that the tree cannot be stored. But it was begun, and perhaps
/// promised to somebody: it stays until there is room for it; not for one who can do without.
void session_state::store(const finished_tree& done) {
  unstored.reset();
  if (!options.store) return leave(done);
  self->request(options.store, store_patience, done)
      .then([this, done](const stored&) { leave(done); },
            [this, done](caf::error& why) {
              for (auto& s : std::exchange(steered, {}))
                s.asker.deliver(caf::make_error(errc::not_stored));
              if (asker && stored_at_best) return leave(done);
              if (asker) asker->deliver(caf::make_error(errc::not_stored));
              asker.reset();
              if (parking || why == caf::sec::request_receiver_down) return self->quit();
              unstored = done;
              tick_in(longest_tick);
            });
}

void session_state::leave(const finished_tree& done) {
  if (asker) asker->deliver(done);
  for (auto& s : steered)
    s.asker.deliver(tree_status{std::make_shared<const banyan::tree>(outline(*done.value))});
  if (options.reasoning.events) options.reasoning.events->publish(end_of(*done.value));
  self->quit();
}

// ---- park ----

void session_state::park() {
  parking = true;
  if (unstored) return self->quit();
  for (auto& [id, member] : members) self->send(member.actor, atom::park_v);
  leave_if_parked();
}

void session_state::close() {
  closed = true;
  park_if_stuck();
}

/// Who steers is answered first.
void session_state::park_if_stuck() {
  if (closed && !parking && !members.empty() && steered.empty() && !can_go_on()) park();
}

/// Whether a thread neither is paused nor waits for one that is. A join with a time of its own goes
/// on without those that are late.
bool session_state::can_go_on() const {
  std::set<std::string, std::less<>> waiting;
  if (context->join.when != join_policy::kind::deadline)
    for (const auto& [id, member] : members)
      if (member.asker) waiting.emplace(tree.threads[places.find(member.path)->second].parent());
  return std::ranges::any_of(members, [&](const auto& m) {
    return !is_halted(halted, m.second.path) && !waiting.contains(m.second.path);
  });
}

/// The tree's threads end with their session; what they wrote is with the store.
void session_state::leave_if_parked() {
  if (!parking || members.empty()) return;
  if (!std::ranges::all_of(members, [](const auto& m) { return m.second.parked; })) return;
  asker->deliver(caf::make_error(errc::cancelled));
  self->quit();
}

// ---- who is who ----

thread_record& session_state::add(const std::string& path) {
  places.emplace(path, tree.threads.size());
  return tree.add(path);
}

thread_record* session_state::find(std::string_view path) {
  const auto i = places.find(path);
  return i == places.end() ? nullptr : &tree.threads[i->second];
}

session_state::member* session_state::live(std::string_view path) {
  const auto i = ids.find(path);
  return i == ids.end() ? nullptr : &members.at(i->second);
}

session_state::member* session_state::sender() {
  const auto& actor = self->current_sender();
  const auto i = actor ? members.find(actor->id()) : members.end();
  return i == members.end() ? nullptr : &i->second;
}

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     session_options options) {
  auto& state = self->state;
  state.options = std::move(options);
  self->set_default_handler(caf::drop);
  self->set_exception_handler(lost_by);
  self->set_down_handler([&state](caf::down_msg& down) { state.lose(down); });
  return {
      [&state](const tree_work& work) { return state.solve(work); },
      [&state](spawn_notice& notice) { state.open_round(notice); },
      [&state](const spawn_request& request) { return state.answer(request); },
      [&state](thread_boundary& boundary) { state.keep(boundary); },
      [&state](const token_request& request) { return state.grant(request); },
      [&state](thread_report& report) { state.close(report); },
      [&state](const cancel_request& request) { state.cancel(request); },
      [&state](const steer_request& request) { return state.steer(request); },
      [&state](atom::park) { state.park(); },
      [&state](atom::close) { state.close(); },
      [&state](const watch_request& wish) { state.watch(wish); },
      [&state](atom::tick) { state.tick(); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](const tree_request& request) { return state.status(request.texts); },
  };
}

session_actor spawn_session(caf::actor_system& system, session_options options) {
  return system.spawn(session, std::move(options));
}

} // namespace banyan
