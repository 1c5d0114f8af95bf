#include "actors/thread.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// A message on its way keeps a dead actor's memory: no look at a join is farther away than this.
constexpr nanoseconds longest_tick = 1s;

} // namespace

void thread_state::spawn(std::vector<std::string> prompts) {
  text->open_spawn(grammar->spawn_offset());
  if (!allowance->open_round()) return fail(errc::budget_spent);
  ++record.rounds;
  if (options.tree->budget.max_tree_tokens > 0) // what is left of the grant, while others decode
    self->request(options.session, at_least_1ms(time_left()), token_request{allowance->spent(), 0})
        .then([](token_grant) {}, [](caf::error&) {});
  await_children(std::move(prompts));
}

/// The record says that the thread waits before anybody answers.
void thread_state::await_children(std::vector<std::string> prompts) {
  const auto count = static_cast<std::uint32_t>(prompts.size());
  record.waiting_for.clear();
  for (std::uint32_t i = 0; i < count; ++i)
    record.waiting_for.push_back(child_path(record.path, first_child + i));
  children.emplace(options.tree->join, prompts.size(), self->clock().now());
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
  if (!children || halted) return;
  children->look(now);
  if (children->met()) return resume();
  if (const auto due = children->due())
    look_by(std::min<time_point>(*due, now + longest_tick), now);
}

/// An earlier look is on its way where one is, and asks for the next.
void thread_state::look_by(time_point at, time_point now) {
  if (next_look && *next_look <= at) return;
  next_look = at;
  self->delayed_send(self, at_least_1ms(at - now), atom::tick_v);
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
  record.waiting_for.clear();
  cell.set_waiting(0);
  enter(thread_phase::decoding);
  mark_boundary();
  decode();
}

} // namespace banyan
