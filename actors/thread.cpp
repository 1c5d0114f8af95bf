#include "actors/thread.hpp"

#include <algorithm>
#include <utility>

#include <caf/sec.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view join_tag = "<Sub Searches>";
constexpr const char* end_of_spawn = "<End Calling Sub Searches>\n";
constexpr nanoseconds first_back_off = 10ms, longest_back_off = 1s;

/// A session answers by the deadline; this much later nobody waits for it any more.
constexpr nanoseconds grace = 1s;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};

caf::timespan timeout(nanoseconds time) { return std::max<nanoseconds>(time, 1ms); }

} // namespace

std::vector<std::int32_t> banned_ids(const codec& codec) {
  try {
    const auto ids = codec.encode(join_tag);
    // Only a token that stands for the whole tag may go: parts of it occur elsewhere.
    const bool whole = !ids.empty() && codec.decode({ids.data(), 1}).starts_with(join_tag);
    return whole ? std::vector{ids.front()} : std::vector<std::int32_t>{};
  } catch (const std::invalid_argument&) {
    return {}; // cannot be written in this vocabulary at all
  }
}

thread_state::thread_state(thread_actor::stateful_pointer<thread_state> self) : self(self) {}

// ---- begin ----

void thread_state::start(start_request& request) {
  const auto& tree = *options.tree;
  record.path = std::move(request.path);
  record.depth =
      static_cast<std::uint32_t>(record.path == "/" ? 0 : std::ranges::count(record.path, '/'));
  record.node = tree.reasoning.node;
  if (tree.reasoning.board) cell = tree.reasoning.board->add(tree.id, record.path);
  allowance.emplace(tree.budget, tree.deadline);
  text.emplace(tree.reasoning.codec, request.prompt);
  grammar.emplace(request.prompt, trace::options{.level = record.depth + 1});
  take_seat();
  decode();
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
  if (!seat) return fail(errc::pool_lost);
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  const auto want = allowance->tokens_left();
  if (want == 0) return fail(errc::budget_spent);
  if (options.tree->budget.max_tree_tokens == 0) return decode(want);
  self->request(options.session, timeout(time_left() + grace),
                token_request{allowance->spent(), want})
      .then([this](token_grant grant) { decode(grant.tokens); },
            [this](caf::error& why) { fail(errc_of(why, errc::cancelled)); });
}

void thread_state::decode(std::uint32_t max_tokens) {
  if (max_tokens == 0) return fail(errc::budget_spent);
  granted = max_tokens;
  heard.clear();
  enter(thread_phase::decoding);
  seat->begin_work();
  self->request(seat->pool().actor, timeout(time_left()), request(max_tokens))
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
  r.watched = tree.reasoning.watched;
  return r;
}

/// The pool did not decode: another one can, for the request says everything.
void thread_state::recover(const caf::error& why) {
  if (why == caf::sec::request_timeout) return fail(errc::deadline);
  seat->end_work();
  const auto code = errc_of(why, errc::pool_lost);
  if (code == errc::pool_full) return wait_for_room();
  if (code != errc::pool_lost) return fail(code);
  lost_pools.push_back(seat->pool().actor);
  take_seat();
  if (!seat) return fail(errc::pool_lost);
  decode(granted);
}

void thread_state::wait_for_room() {
  back_off = std::clamp(back_off * 2, first_back_off, longest_back_off);
  enter(thread_phase::queued);
  self->delayed_send(self, timeout(std::min(back_off, time_left())), atom::step_v);
}

void thread_state::retry() {
  if (record.phase != thread_phase::queued || back_off == nanoseconds::zero()) return;
  if (time_left() == nanoseconds::zero()) return fail(errc::deadline);
  decode(granted);
}

void thread_state::hear(const decode_progress& progress) {
  if (record.phase != thread_phase::decoding) return;
  heard.insert(heard.end(), progress.ids.begin(), progress.ids.end());
  cell.set_tokens(allowance->spent() + heard.size());
}

// ---- read ----

void thread_state::read(const decode_reply& reply) {
  seat->end_work();
  back_off = nanoseconds::zero();
  heard.clear();
  record.prompt_tokens += reply.prompt_tokens;
  record.cached_tokens += reply.cached_tokens;
  allowance->spend(reply.ids.size());
  cell.set_tokens(allowance->spent());
  const auto fresh = text->append(reply);
  const bool at_end = reply.finish == finish_reason::eos;
  // An empty reply that asks for another request would be asked again for ever.
  if (reply.ids.empty() && !at_end) return go_on(finish_reason::context);
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

/// The text is not at its end, the reply was. `decode` knows whether the thread's tokens are spent.
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
  children.emplace(options.tree->join, prompts.size());
  for (std::uint32_t i = 0; i < prompts.size(); ++i) ask_for_child(i, std::move(prompts[i]));
  cell.set_waiting(static_cast<std::uint32_t>(prompts.size()));
  enter(thread_phase::waiting);
  if (options.tree->budget.max_tree_tokens > 0) // what is left of the grant, while others decode
    self->request(options.session, timeout(time_left()), token_request{allowance->spent(), 0})
        .then([](token_grant) {}, [](caf::error&) {});
}

void thread_state::ask_for_child(std::uint32_t i, std::string prompt) {
  const auto round = record.rounds;
  const auto index = first_child + i;
  record.waiting_for.push_back(child_path(record.path, index));
  self->request(options.session, timeout(patience()),
                spawn_request{record.path, round - 1, index, std::move(prompt), seat->pool()})
      .then(
          [=, this](solution& s) {
            arrive(round, i, {std::move(s.text), errc::none});
          },
          [=, this](caf::error& why) {
            if (why == caf::sec::request_timeout) return expire(round);
            arrive(round, i, {{}, errc_of(why, errc::child_lost)});
          });
}

void thread_state::arrive(std::uint32_t round, std::uint32_t i, child_result result) {
  if (!children || round != record.rounds) return; // the join went on without it
  children->arrive(i, std::move(result));
  std::erase(record.waiting_for, child_path(record.path, first_child + i));
  cell.set_waiting(static_cast<std::uint32_t>(record.waiting_for.size()));
  if (children->met()) resume();
}

void thread_state::expire(std::uint32_t round) {
  if (!children || round != record.rounds) return;
  children->expire();
  resume();
}

void thread_state::resume() {
  for (const auto i : children->losers())
    self->send(
        options.session,
        cancel_request{options.tree->id,
                       child_path(record.path, first_child + static_cast<std::uint32_t>(i))});
  first_child += static_cast<std::uint32_t>(children->results().size());
  text->join(grammar->join(children->results()));
  children.reset();
  record.waiting_for.clear();
  cell.set_waiting(0);
  decode();
}

/// How long a parent waits for a child.
nanoseconds thread_state::patience() const {
  const auto& policy = options.tree->join;
  const auto most = time_left() + grace;
  if (policy.when != join_policy::kind::deadline) return most;
  const std::chrono::duration<double> own(policy.seconds);
  return own < most ? std::chrono::duration_cast<nanoseconds>(own) : most;
}

// ---- end ----

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
  record.phase = phase;
  record.since_ms = options.tree->reasoning.unix_ms();
  cell.enter(phase, record.since_ms);
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

thread_status thread_state::status() const {
  thread_status now{record};
  if (text) now.record.segments = text->segments();
  if (!heard.empty() && !now.record.segments.empty()) {
    auto& segments = now.record.segments;
    if (!segments.back().sampled()) segments.push_back({segment_kind::written, {}, {}, {}, {}});
    segments.back().text += options.tree->reasoning.codec.decode(heard);
  }
  return now;
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
      [&state](atom::cancel) { state.cancel(); },
      [&state](const decode_progress& progress) { state.hear(progress); },
      [&state](atom::step) { state.retry(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace banyan
