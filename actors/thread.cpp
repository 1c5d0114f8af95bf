#include "actors/thread.hpp"

#include "actors/guarded_promise.hpp"
#include "actors/thread_past.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <caf/sec.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr const char* end_of_spawn = "<End Calling Sub Searches>\n";
constexpr caf::timespan pool_patience = 200ms; ///< of those who look at a thread
constexpr nanoseconds first_back_off = 10ms, longest_back_off = 1s;

/// Longer than any tree lives.
constexpr auto longest_join = std::chrono::hours(24 * 365);

/// A message on its way keeps a dead actor's memory: no look at a join is farther away than this.
constexpr nanoseconds longest_tick = 1s;

/// A session answers by the deadline; this much later nobody waits for it any more.
constexpr nanoseconds grace = 1s;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};

caf::timespan timeout(nanoseconds time) { return std::max<nanoseconds>(time, 1ms); }

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
  if (request.paused) halted = thread_phase::paused;
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
  record.history = past.history;
  allowance->spend(past.generated_tokens());
  auto known = read_again(past.segments, {.level = record.depth + 1});
  for (std::uint32_t i = 0; i < known.rounds; ++i) allowance->open_round();
  grammar.emplace(std::move(known.grammar));
  first_child = known.first_child;
  text.emplace(options.tree->reasoning.codec, past.segments, known.spawn_offset);
  tell_text(0, grammar->text());
  cell.set_tokens(allowance->spent());
  take_seat();
  if (!seat) return fail(errc::pool_lost);
  known.open.empty() ? decode() : await_children(std::move(known.open));
}

void thread_state::take_seat() {
  const auto& tree = *options.tree;
  auto pool = tree.reasoning.place({tree.family, record.path, options.parent, lost_pools});
  record.pool = pool ? pool->name : "";
  seat.reset();
  if (pool) seat.emplace(std::move(*pool), tree.family, record.path);
}

// ---- decode ----

/// Asks for tokens of the tree's budget first, where there is one.
void thread_state::decode() {
  if (asking) return; // what is granted is decoded
  if (!seat) return fail(errc::pool_lost);
  if (halted) return stay();
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  const auto room = allowance->room(text->context().size());
  if (room == 0) return fail(errc::context_full);
  const auto want = std::min(allowance->tokens_left(), room);
  if (want == 0) return fail(errc::budget_spent);
  if (options.tree->budget.max_tree_tokens == 0) return decode(want);
  asking = true;
  self->request(options.session, timeout(time_left() + grace),
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
  granted = max_tokens;
  heard.clear();
  enter(thread_phase::decoding);
  in_flight = true;
  seat->begin_work();
  self->request(seat->pool().actor, timeout(time_left() + grace), request(max_tokens))
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
  in_flight = false;
  cell.set_tokens(allowance->spent());
  if (ending != errc::none) return fail(ending);
  if (why == caf::sec::request_timeout) return fail(errc::deadline);
  seat->end_work();
  const auto code = errc_of(why, errc::pool_lost);
  if (code == errc::pool_full) return wait_for_room();
  if (code != errc::pool_lost && code != errc::no_weights) return fail(code);
  lost_pools.push_back(seat->pool().actor);
  take_seat();
  if (!seat) return fail(errc::pool_lost);
  decode(granted);
}

void thread_state::wait_for_room() {
  if (halted) return stay();
  back_off = std::clamp(back_off * 2, first_back_off, longest_back_off);
  enter(thread_phase::queued);
  self->delayed_send(self, timeout(std::min(back_off, time_left())), atom::step_v);
}

void thread_state::retry() {
  if (record.phase != thread_phase::queued || halted || back_off == nanoseconds::zero()) return;
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  decode(granted);
}

void thread_state::hear(const decode_progress& progress) {
  if (!in_flight) return;
  heard.insert(heard.end(), progress.ids.begin(), progress.ids.end());
  if (news.watched()) tell_text(text->text_size(), options.tree->reasoning.codec.decode(heard));
}

// ---- read ----

void thread_state::read(const decode_reply& reply) {
  in_flight = false;
  seat->end_work();
  back_off = nanoseconds::zero();
  heard.clear();
  if (text->at_stretch_begin()) { // else the request went on with what was counted before
    record.prompt_tokens += reply.prompt_tokens;
    record.cached_tokens += reply.cached_tokens;
  }
  allowance->spend(reply.ids.size());
  cell.set_tokens(allowance->spent());
  const auto begin = text->text_size();
  const auto fresh = text->append(reply);
  tell_text(begin, fresh);
  if (ending != errc::none) return fail(ending);
  const bool at_end = reply.finish == finish_reason::eos;
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
  const bool unlimited = granted == thread_allowance::unlimited;
  if (why == finish_reason::context || (why == finish_reason::length && unlimited))
    return fail(errc::context_full);
  decode();
}

// ---- spawn and join ----

void thread_state::spawn(std::vector<std::string> prompts) {
  text->open_spawn(grammar->spawn_offset());
  if (!allowance->open_round()) return fail(errc::budget_spent);
  ++record.rounds;
  if (options.tree->budget.max_tree_tokens > 0) // what is left of the grant, while others decode
    self->request(options.session, timeout(time_left()), token_request{allowance->spent(), 0})
        .then([](token_grant) {}, [](caf::error&) {});
  await_children(std::move(prompts));
}

/// The record says that the thread waits before anybody answers.
void thread_state::await_children(std::vector<std::string> prompts) {
  const auto count = static_cast<std::uint32_t>(prompts.size());
  record.waiting_for.clear();
  for (std::uint32_t i = 0; i < count; ++i)
    record.waiting_for.push_back(child_path(record.path, first_child + i));
  children.emplace(options.tree->join, prompts.size());
  cell.set_waiting(count);
  if (!halted) enter(thread_phase::waiting);
  mark_boundary();
  const auto at = grammar->spawn_offset();
  auto named = news.event(tree_event::kind::spawn, record, allowance->spent(),
                          {at, grammar->text().substr(at), record.waiting_for});
  self->send(options.session,
             spawn_notice{record.rounds - 1, first_child, std::move(prompts),
                          seat ? std::optional(seat->pool()) : std::nullopt, std::move(named)});
  for (std::uint32_t i = 0; i < count; ++i) ask_for_child(i);
  if (halted) stay();
  begin_join();
}

/// A join with a time of its own ends by then.
void thread_state::begin_join() {
  const auto& policy = options.tree->join;
  if (policy.when != join_policy::kind::deadline) return;
  join_by = self->clock().now()
            + std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(
                std::min(policy.seconds, std::chrono::duration<double>(longest_join).count())));
  look_at_join();
}

void thread_state::ask_for_child(std::uint32_t i) {
  const auto round = record.rounds;
  // The session watches the tree's deadline, which a pause moves, and leaves no request open.
  self->request(options.session, caf::infinite, spawn_request{first_child + i})
      .then(
          [=, this](solution& s) {
            arrive(round, i, {std::move(s.text), errc::none});
          },
          [=, this](caf::error& why) {
            arrive(round, i, {{}, errc_of(why, errc::child_lost)});
          });
}

void thread_state::arrive(std::uint32_t round, std::uint32_t i, child_result result) {
  if (!children || round != record.rounds) return; // the join went on without it
  children->arrive(i, std::move(result));
  std::erase(record.waiting_for, child_path(record.path, first_child + i));
  cell.set_waiting(static_cast<std::uint32_t>(record.waiting_for.size()));
  if (children->met() && !halted) resume();
}

/// Goes on without those that are late, or looks again when the time is over.
void thread_state::look_at_join() {
  const auto now = self->clock().now();
  if (next_look && *next_look <= now) next_look.reset();
  if (!children || !join_by || halted) return;
  if (now < *join_by) return look_by(std::min<time_point>(*join_by, now + longest_tick), now);
  children->expire();
  resume();
}

/// An earlier look is on its way where one is, and asks for the next.
void thread_state::look_by(time_point at, time_point now) {
  if (next_look && *next_look <= at) return;
  next_look = at;
  self->delayed_send(self, timeout(at - now), atom::tick_v);
}

void thread_state::resume() {
  for (const auto i : children->losers())
    self->send(
        options.session,
        cancel_request{options.tree->id,
                       child_path(record.path, first_child + static_cast<std::uint32_t>(i))});
  first_child += static_cast<std::uint32_t>(children->results().size());
  const auto at = grammar->spawn_offset();
  const auto block = grammar->join(children->results());
  text->join(block);
  tell(tree_event::kind::join, at, block);
  news.skip_to(text->text_size());
  children.reset();
  join_by.reset();
  record.waiting_for.clear();
  cell.set_waiting(0);
  enter(thread_phase::decoding);
  mark_boundary();
  decode();
}

// ---- pause ----

/// `as`: paused, or queued where the thread will go on from its record.
void thread_state::halt(thread_phase as) {
  if (ended(record.phase) || ending != errc::none) return;
  const bool was_halted = halted.has_value();
  if (!was_halted) halted_since = self->clock().now();
  halted = as;
  if (in_flight) return was_halted ? void() : break_off(true);
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
  if (join_by) *join_by += self->clock().now() - halted_since;
  if (in_flight) return; // what was broken off comes back and is gone on from
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
  if (!in_flight || asked_before) return fail(ending);
  break_off(false);
  self->delayed_send(self, caf::timespan(grace), end_thread{why}); // for a pool that hangs
}

void thread_state::finish(std::string solution) {
  record.solution = std::move(solution);
  enter(thread_phase::done);
  report();
}

void thread_state::fail(errc why) {
  record.failure = why;
  enter(why == errc::cancelled ? thread_phase::cancelled : thread_phase::failed);
  report();
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

// ---- looking inside ----

void thread_state::watch(const watch_request& wish) {
  if (!news.watch(wish.on, text ? text->text_size() : 0) || !text) return;
  if (in_flight)
    self->send(seat->pool().actor, decode_watch{options.tree->family, record.path, wish.on});
}

/// `fresh` stands in the text from byte `begin` on.
void thread_state::tell_text(std::size_t begin, std::string_view fresh) {
  news.tell_text(record, allowance->spent() + heard.size(), begin, fresh);
}

void thread_state::tell(tree_event::kind what, std::size_t position, std::string said,
                        std::vector<std::string> children_of) {
  news.tell(what, record, allowance ? allowance->spent() + heard.size() : 0,
            {position, std::move(said), std::move(children_of)});
}

/// With what was sampled for the request that is in flight, as far as that is known.
thread_status thread_state::status(sequence_status at_pool) const {
  thread_status now{record, true, {}, 0, 0, 0};
  if (allowance) {
    now.tokens_left = allowance->tokens_left();
    now.rounds_left = allowance->rounds_left();
    now.seconds_left = std::chrono::duration<double>(time_left()).count();
  }
  if (!text) return now;
  auto& segments = now.record.segments = text->segments();
  const bool known = in_flight && at_pool.prompt_tokens == text->context().size();
  const auto& sampled = known && at_pool.sampled.size() > heard.size() ? at_pool.sampled : heard;
  if (!sampled.empty()) {
    if (!segments.back().sampled()) segments.push_back({segment_kind::written, {}, {}, {}, {}});
    segments.back().text += options.tree->reasoning.codec.decode(sampled);
    segments.back().ids.insert(segments.back().ids.end(), sampled.begin(), sampled.end());
  }
  now.at_pool = std::move(at_pool);
  return now;
}

/// A pool that is in a long step is left out rather than waited for.
caf::result<thread_status> thread_state::show(const thread_request& request) {
  const auto told = [this, left = request.seconds_left](sequence_status at_pool) {
    auto now = status(std::move(at_pool));
    now.seconds_left = left.value_or(now.seconds_left);
    return now;
  };
  if (!seat) return told({});
  auto promise = self->make_response_promise<thread_status>();
  auto asker = std::make_shared<guarded_promise<thread_status>>(promise);
  self->request(seat->pool().actor, pool_patience,
                sequence_request{options.tree->family, record.path})
      .then([told, asker](sequence_status& at_pool) { asker->deliver(told(std::move(at_pool))); },
            [told, asker](caf::error&) { asker->deliver(told({})); });
  return promise;
}

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
