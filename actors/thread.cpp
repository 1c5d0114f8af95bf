#include "actors/thread.hpp"

#include "actors/thread_past.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <caf/sec.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr const char* end_of_spawn = "<End Calling Sub Searches>\n";

/// A session answers by the deadline, and a pool with what it has sampled after its step, which
/// takes seconds on a slow device; this much later nobody waits for them any more.
constexpr nanoseconds grace = 10s;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};

} // namespace

thread_state::thread_state(thread_actor::stateful_pointer<thread_state> self) : self(self) {}

// ---- begin ----

void thread_state::start(start_request& request) {
  const auto& tree = *options.tree;
  record.path = request.path;
  record.depth =
      static_cast<std::uint32_t>(record.path == "/" ? 0 : std::ranges::count(record.path, '/'));
  record.node = tree.reasoning.node;
  if (tree.reasoning.board) cell = tree.reasoning.board->add(tree.id, record.path);
  allowance.emplace(tree.budget, tree.deadline);
  news.open({tree.reasoning.events, tree.id, tree.reasoning.unix_ms}, request.watched);
  if (request.paused) {
    halted = thread_phase::paused;
    halted_since = self->clock().now();
  }
  record.history = request.past.history;
  if (!request.past.segments.empty()) return restore(request);
  text.emplace(tree.reasoning.codec, request.prompt);
  grammar.emplace(request.prompt, trace::options{.level = record.depth + 1});
  tell_text(0, grammar->text());
  take_seat();
  decode();
}

/// Reads what the thread wrote before once more; what its children returned is in the record.
void thread_state::restore(const start_request& request) {
  const auto& past = request.past;
  record.rounds = past.rounds;
  record.prompt_tokens = past.prompt_tokens;
  record.cached_tokens = past.cached_tokens;
  allowance->spend(past.generated_tokens());
  auto known = read_again(past.segments, {.level = record.depth + 1});
  for (std::uint32_t i = 0; i < known.rounds; ++i) allowance->open_round();
  grammar.emplace(std::move(known.grammar));
  first_child = known.first_child;
  text.emplace(options.tree->reasoning.codec, past.segments, known.spawn_offset);
  tell_text(0, grammar->text());
  cell.set_tokens(allowance->spent());
  take_seat();
  if (!seat) return stand_without_pool();
  known.open.empty() ? decode() : await_children(std::move(known.open));
}

void thread_state::take_seat() {
  const auto& tree = *options.tree;
  auto pool = tree.reasoning.place({tree.family, record.path, options.parent, lost_pools});
  record.pool = pool ? pool->name : "";
  seat.reset();
  if (pool) seat.emplace(std::move(*pool), tree.family, record.path);
}

/// A tree that is kept goes on after the next start. Where a pool lives, it would have no better
/// answer then.
void thread_state::stand_without_pool() {
  if (!options.tree->recorded || refused) return fail(errc::pool_lost);
  halted ? stay() : halt(thread_phase::queued);
}

// ---- decode ----

/// Asks for tokens of the tree's budget first, where there is one.
void thread_state::decode() {
  if (asking) return; // what is granted is decoded
  if (!seat) return stand_without_pool();
  if (halted) return stay();
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  const auto room = allowance->room(text->context().size());
  if (room == 0) return fail(errc::context_full);
  const auto want = std::min(allowance->tokens_left(), room);
  if (want == 0) return fail(errc::budget_spent);
  if (options.tree->budget.max_tree_tokens == 0) return decode(want);
  asking = true;
  self->request(options.session, at_least_1ms(time_left() + grace),
                token_request{allowance->spent(), want})
      .then(
          [this](token_grant grant) {
            asking = false;
            decode(grant.tokens);
          },
          [this](caf::error& why) { fail(errc_of(why, errc::cancelled)); });
}

void thread_state::decode(std::uint32_t max_tokens) {
  if (max_tokens == 0) return fail(errc::budget_spent);
  if (halted) return stay();
  in_flight.begin(max_tokens, text->ahead());
  enter(thread_phase::decoding);
  seat->begin_work();
  self->request(seat->pool().actor, at_least_1ms(time_left() + grace), request(max_tokens))
      .then([this](decode_reply& reply) { read(reply); },
            [this](caf::error& why) { recover(why); });
}

decode_request thread_state::request(std::uint32_t max_tokens) const {
  const auto& tree = *options.tree;
  decode_request r;
  r.family = tree.family;
  r.thread = record.path;
  r.ids = text->context();
  r.sampling = tree.sampling;
  r.max_tokens = max_tokens == thread_allowance::unlimited ? 0 : max_tokens;
  r.stop = {end_of_spawn};
  r.ban = tree.ban;
  r.resumes_join = record.rounds > 0 && text->at_stretch_begin();
  r.watched = news.watched();
  r.weights_epoch = tree.weights_epoch;
  r.meter = cell.tokens();
  return r;
}

/// The pool answers with what it has sampled.
void thread_state::break_off(bool will_return) {
  self->send(seat->pool().actor, decode_cancel{options.tree->family, record.path, will_return});
}

/// The pool did not decode: another one can, for the request says everything.
void thread_state::recover(const caf::error& why) {
  in_flight.end();
  cell.set_tokens(allowance->spent());
  if (ending != errc::none) return fail(ending);
  if (why == caf::sec::request_timeout) return fail(errc::deadline);
  seat->end_work();
  const auto code = errc_of(why, errc::pool_lost);
  if (code == errc::pool_full) return wait_for_room();
  if (code != errc::pool_lost && code != errc::no_weights && code != errc::bad_weights)
    return fail(code);
  refused |= code != errc::pool_lost;
  lost_pools.push_back(seat->pool().actor);
  take_seat();
  if (!seat) return stand_without_pool();
  decode(in_flight.granted());
}

void thread_state::wait_for_room() {
  if (halted) return stay();
  enter(thread_phase::queued);
  self->delayed_send(self, at_least_1ms(std::min(in_flight.back_off(), time_left())), atom::step_v);
}

void thread_state::retry() {
  if (record.phase != thread_phase::queued || halted || !in_flight.backs_off()) return;
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  decode(in_flight.granted());
}

void thread_state::hear(const decode_progress& progress) {
  if (!in_flight.open()) return;
  in_flight.hear(progress.ids);
  tell_text(text->text_size(), in_flight.heard_text());
}

// ---- read ----

void thread_state::read(const decode_reply& reply) {
  in_flight.end();
  in_flight.stop_backing_off();
  seat->end_work();
  // Else the request went on with what was counted before, or never began.
  const bool broken_off = reply.ids.empty() && reply.finish == finish_reason::cancelled;
  if (text->at_stretch_begin() && !broken_off) {
    record.prompt_tokens += reply.prompt_tokens;
    record.cached_tokens += reply.cached_tokens;
  }
  allowance->spend(reply.ids.size());
  cell.set_tokens(allowance->spent());
  const auto begin = text->text_size();
  const bool at_end = reply.finish == finish_reason::eos;
  auto fresh = text->append(reply);
  if (at_end) fresh += text->close();
  tell_text(begin, fresh);
  if (ending != errc::none) return fail(ending);
  // An empty reply that asks for another request would be asked again for ever.
  if (reply.ids.empty() && !at_end && reply.finish != finish_reason::cancelled)
    return go_on(finish_reason::context);
  act(grammar->feed(fresh, at_end), reply.finish);
}

void thread_state::act(trace_verdict said, finish_reason finish_of_reply) {
  std::visit(overloaded{
                 [&](verdict::more) { go_on(finish_of_reply); },
                 [&](verdict::spawn& s) { spawn(std::move(s.prompts)); },
                 [&](verdict::done& d) { finish(std::move(d.solution)); },
                 [&](verdict::gave_up) { fail(errc::no_solution); },
                 [&](verdict::malformed&) { fail(errc::malformed_spawn); },
             },
             said);
}

/// The text is not at its end, the reply was. `decode` knows whether the thread's budget is spent.
void thread_state::go_on(finish_reason why) {
  const bool unlimited = in_flight.granted() == thread_allowance::unlimited;
  if (why == finish_reason::context || (why == finish_reason::length && unlimited))
    return fail(errc::context_full);
  decode();
}

// ---- pause ----

/// `as`: paused, or queued where the thread will go on from its record.
void thread_state::halt(thread_phase as) {
  if (ended(record.phase) || ending != errc::none) return;
  const bool was_halted = halted.has_value();
  if (!was_halted) halted_since = self->clock().now();
  halted = as;
  if (in_flight.open()) return was_halted ? void() : break_off(true);
  if (was_halted) return tell_boundary();
  stay();
}

/// Nothing is on its way: this is where the thread goes on after the pause.
void thread_state::stay() {
  enter(*halted);
  tell_boundary();
}

void thread_state::go_on_after_pause(const resume_thread& message) {
  allowance->set_deadline(message.deadline);
  if (!halted) return;
  halted.reset();
  if (children) children->stand_still(self->clock().now() - halted_since);
  if (in_flight.open()) return; // what was broken off comes back and is gone on from
  if (children && children->met()) return resume();
  enter(children ? thread_phase::waiting : thread_phase::decoding);
  mark_boundary(); // or it would be paused after a restart
  children ? look_at_join() : decode();
}

// ---- end ----

void thread_state::end(errc why) {
  if (ended(record.phase)) return;
  const bool asked_before = ending != errc::none;
  if (!asked_before) ending = why;
  if (!in_flight.open() || asked_before) return fail(ending);
  break_off(false);
  self->delayed_send(self, caf::timespan(grace), end_thread{why}); // for a pool that hangs
}

void thread_state::finish(std::string solution) {
  record.solution = std::move(solution);
  close_text();
  enter(thread_phase::done);
  report();
}

void thread_state::fail(errc why) {
  record.failure = why;
  close_text();
  enter(why == errc::cancelled ? thread_phase::cancelled : thread_phase::failed);
  report();
}

/// Nothing more is written: a character that is not whole by now will never be.
void thread_state::close_text() {
  if (!text) return;
  const auto begin = text->text_size();
  tell_text(begin, text->close());
}

void thread_state::enter(thread_phase phase) {
  constexpr std::size_t longest_history = 256;
  record.phase = phase;
  if (!record.history.empty() && record.history.back().phase == phase) { // it never left
    record.since_ms = record.history.back().at_ms;
    return cell.enter(phase, record.since_ms);
  }
  record.since_ms = options.tree->reasoning.unix_ms();
  if (record.history.size() == longest_history) record.history.erase(record.history.begin() + 1);
  record.history.push_back({phase, record.since_ms});
  cell.enter(phase, record.since_ms);
  tell(tree_event::kind::thread, text ? text->text_size() : 0, {});
}

void thread_state::mark_boundary() {
  if (options.tree->recorded) tell_boundary();
}

void thread_state::tell_boundary() {
  auto copy = record;
  copy.segments = text->segments();
  self->send(options.session, thread_boundary{std::move(copy)});
}

void thread_state::report() {
  if (text) record.segments = text->segments();
  self->send(options.session, thread_report{std::move(record)});
  self->quit();
}

/// What cannot be encoded is the request's fault; everything else is a thread that died.
caf::error thread_state::caught(std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::invalid_argument&) {
    fail(errc::bad_request);
    return {};
  } catch (...) {
    return lost_by(thrown);
  }
}

nanoseconds thread_state::time_left() const { return allowance->time_left(self->clock().now()); }

thread_actor::behavior_type reasoning_thread(thread_actor::stateful_pointer<thread_state> self,
                                             thread_options options) {
  auto& state = self->state;
  state.options = std::move(options);
  self->monitor(state.options.session);
  self->set_default_handler(caf::drop);
  self->set_down_handler([self](caf::down_msg&) { self->quit(); });
  self->set_exception_handler([&state](std::exception_ptr& e) { return state.caught(e); });
  return {
      [&state](start_request& request) { state.start(request); },
      [&state](const end_thread& message) { state.end(message.why); },
      [&state](atom::pause) { state.halt(thread_phase::paused); },
      [&state](atom::park) { state.halt(thread_phase::queued); },
      [&state](const resume_thread& message) { state.go_on_after_pause(message); },
      [&state](const watch_request& wish) { state.watch(wish); },
      [&state](const decode_progress& progress) { state.hear(progress); },
      [&state](atom::step) { state.retry(); },
      [&state](atom::tick) { state.look_at_join(); },
      [&state](const thread_request& request) { return state.show(request); },
      [&state](atom::status) { return state.status({}); },
  };
}

} // namespace banyan
