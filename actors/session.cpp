#include "actors/session.hpp"

#include "solver/trace.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <caf/actor_system.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// A message on its way keeps a dead actor's memory: no tick is farther away than this.
constexpr nanoseconds longest_tick = 1s;

bool at_or_below(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/" || path == ancestor) return true;
  return path.starts_with(ancestor) && path[ancestor.size()] == '/';
}

segment prompt_segment(std::string text) {
  return {segment_kind::prompt, std::move(text), {}, {}, {}};
}

std::uint32_t first_epoch(const thread_record& thread) {
  for (const auto& s : thread.segments)
    if (!s.epochs.empty()) return s.epochs.front();
  return 0;
}

} // namespace

// ---- trees ----

caf::expected<tree> plant(const solve_request& request, std::int64_t created_ms) {
  const auto refused = [](std::string why) {
    return caf::make_error(errc::bad_request, std::move(why));
  };
  tree t;
  t.problem = request.problem;
  t.prompt = request.prompt;
  if (t.problem.numbers.empty()) {
    auto read = parse_root_prompt(t.prompt);
    if (!read) return refused("neither a problem nor a prompt that tells one");
    t.problem = std::move(*read);
  }
  if (auto why = malformed(t.problem)) return refused(std::move(*why));
  if (t.prompt.empty()) t.prompt = root_prompt(t.problem);
  t.id = request.id;
  t.task = request.task;
  t.labels = request.labels;
  t.seed = request.sampling.seed;
  t.created_ms = created_ms;
  auto& root = t.add("/");
  root.since_ms = created_ms;
  root.segments.push_back(prompt_segment(t.prompt));
  return t;
}

void conclude(tree& t, std::int64_t finished_ms) {
  const auto& root = t.root();
  t.failure = root.failure;
  t.phase = root.failure == errc::none        ? tree_phase::done
            : root.failure == errc::cancelled ? tree_phase::cancelled
                                              : tree_phase::failed;
  t.outcome = judge(t.problem, root.solution.value_or(""));
  t.weights_epoch = first_epoch(root);
  t.finished_ms = finished_ms;
}

tree outline(const tree& whole) {
  auto t = whole;
  for (auto& thread : t.threads)
    for (auto& s : thread.segments) s = {s.kind, {}, std::move(s.ids), {}, {}};
  return t;
}

// ---- begin ----

session_state::session_state(session_actor::stateful_pointer<session_state> self) : self(self) {}

caf::result<finished_tree> session_state::solve(const solve_request& request) {
  if (asker) return errc::bad_request; // one session, one tree
  auto planted = plant(request, options.reasoning.unix_ms());
  if (!planted) {
    self->quit();
    return std::move(planted.error());
  }
  tree = std::move(*planted);
  tree.phase = tree_phase::running;
  begin = self->clock().now();
  ledger.emplace(request.budget);
  ledger->open_thread(0);
  context = std::make_shared<tree_context>(tree_context{
      options.reasoning, tree.id, options.family, request.sampling, request.join, request.budget,
      deadline_of(request.budget, begin), banned_ids(options.reasoning.codec)});
  asker.emplace(self->make_response_promise<finished_tree>());
  start(tree.threads.front(), {});
  tick();
  return asker->promise();
}

session_state::member& session_state::start(thread_record& record,
                                            std::optional<named_pool> parent) {
  record.phase = thread_phase::decoding;
  record.since_ms = options.reasoning.unix_ms();
  record.node = options.reasoning.node;
  auto actor = self->spawn<caf::monitored>(
      reasoning_thread, thread_options{context, session_actor{self}, std::move(parent)});
  self->send(actor, start_request{record.path, record.segments.front().text});
  const auto id = actor->id();
  return members.emplace(id, member{record.path, std::move(actor)}).first->second;
}

caf::result<solution> session_state::spawn(spawn_request& request) {
  const auto* parent = sender();
  if (!parent || tree.find(child_path(parent->path, request.index))) return errc::bad_request;
  if (parent->ending != errc::none) return errc::cancelled;
  auto& record = tree.add(child_path(parent->path, request.index));
  record.round = request.round;
  record.segments.push_back(prompt_segment(std::move(request.prompt)));
  if (const auto why = ledger->open_thread(record.depth); why != errc::none) {
    record.phase = thread_phase::failed;
    record.failure = why;
    record.since_ms = options.reasoning.unix_ms();
    return why;
  }
  auto& child = start(record, std::move(request.pool));
  child.asker.emplace(self->make_response_promise<solution>());
  return child.asker->promise();
}

caf::result<token_grant> session_state::grant(const token_request& request) {
  const auto* thread = sender();
  if (!thread || thread->ending != errc::none) return errc::cancelled;
  return token_grant{ledger->reserve(thread->path, request.spent, request.want)};
}

// ---- end of a thread ----

void session_state::close(thread_report& report) {
  const auto i = members.find(self->current_sender() ? self->current_sender()->id() : 0);
  if (i == members.end()) return;
  auto& record = *tree.find(i->second.path);
  auto& last = report.record;
  if (i->second.ending == errc::deadline && last.phase == thread_phase::cancelled) {
    last.phase = thread_phase::failed;
    last.failure = errc::deadline;
  }
  // What a pool sampled for a request that was broken off is not known.
  const bool known = last.failure != errc::cancelled && last.failure != errc::deadline;
  known ? ledger->settle(record.path, last.generated_tokens()) : ledger->forfeit(record.path);
  last.path = record.path;
  last.depth = record.depth;
  last.round = record.round;
  last.awaited = record.awaited;
  if (last.segments.empty()) last.segments = std::move(record.segments);
  record = std::move(last);
  bury(i);
}

void session_state::lose(const caf::down_msg& down) {
  const auto i = members.find(down.source.id());
  if (i == members.end()) return; // it reported before it went
  auto& record = *tree.find(i->second.path);
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
  const auto& record = *tree.find(gone.path);
  if (gone.asker && record.solution) gone.asker->deliver(solution{*record.solution});
  if (gone.asker) gone.asker->deliver(caf::make_error(record.failure));
  end_below(gone.path, errc::cancelled);
  if (members.empty()) finish();
}

// ---- end of the tree ----

void session_state::cancel(const cancel_request& request) {
  const auto* from = sender();
  auto* record = tree.find(request.thread);
  if (from && record && record->parent() == from->path) record->awaited = false;
  end_below(request.thread, errc::cancelled);
}

void session_state::end_below(const std::string& path, errc why) {
  for (auto& [id, member] : members)
    if (member.ending == errc::none && at_or_below(member.path, path)) {
      member.ending = why;
      self->send(member.actor, atom::cancel_v);
    }
}

void session_state::tick() {
  if (!context) return;
  const auto left = context->deadline - self->clock().now();
  if (left <= 0s) return end_below("/", errc::deadline);
  self->delayed_send(self, caf::timespan(std::min<nanoseconds>(left, longest_tick)), atom::tick_v);
}

void session_state::finish() {
  const std::chrono::duration<double, std::milli> wall = self->clock().now() - begin;
  tree.wall_ms = wall.count();
  conclude(tree, options.reasoning.unix_ms());
  const finished_tree done{std::make_shared<const banyan::tree>(std::move(tree))};
  if (options.store) self->send(options.store, done);
  asker->deliver(done);
  self->quit();
}

// ---- status ----

/// A live thread answers for itself: the session has no text of it.
caf::result<thread_status> session_state::show(const thread_request& request) const {
  for (const auto& [id, member] : members)
    if (member.path == request.thread) return self->delegate(member.actor, atom::status_v);
  const auto* record = tree.find(request.thread);
  if (!record) return caf::make_error(errc::bad_request, "thread: no " + request.thread);
  return thread_status{*record};
}

tree_status session_state::status() const {
  auto now = outline(tree);
  for (const auto& [id, member] : members) {
    if (!member.asker) continue;
    auto& parent = *now.find(now.find(member.path)->parent());
    parent.phase = thread_phase::waiting;
    parent.waiting_for.push_back(member.path);
  }
  return {std::make_shared<const banyan::tree>(std::move(now))};
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
      [&state](const solve_request& request) { return state.solve(request); },
      [&state](spawn_request& request) { return state.spawn(request); },
      [&state](const token_request& request) { return state.grant(request); },
      [&state](thread_report& report) { state.close(report); },
      [&state](const cancel_request& request) { state.cancel(request); },
      [&state](atom::tick) { state.tick(); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](atom::status) { return state.status(); },
  };
}

session_actor spawn_session(caf::actor_system& system, session_options options) {
  return system.spawn(session, std::move(options));
}

} // namespace banyan
