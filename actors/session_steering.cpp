#include "actors/session.hpp"

#include "actors/steering.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace banyan {
namespace {

/// What steers a tree hears of it by then, however long a pool's step is.
constexpr std::chrono::seconds settle_patience{1};

} // namespace

caf::result<tree_status> session_state::steer(const steer_request& request) {
  if (!find(request.thread)) return no_thread(request.thread);
  if (unstored) return errc::not_stored; // it is over, and nobody shall hear of it yet
  if (!live(request.thread)) return has_ended(request);
  switch (request.action) {
  case tree_action::cancel: end_below(request.thread, errc::cancelled); break;
  case tree_action::pause: pause_below(request.thread); break;
  case tree_action::resume:
    if (is_halted_above(halted, request.thread)) return is_part_of_paused(request);
    if (!is_halted_at_or_below(halted, request.thread)) break;
    resume_below(request.thread);
    break;
  }
  auto promise = self->make_response_promise<tree_status>();
  steered.push_back({request, guarded_promise(promise), self->clock().now() + settle_patience});
  answer_steered();
  tick_in(settle_patience);
  return promise;
}

/// Whether the threads are as was wished. A cancelled tree is answered for by its end.
bool session_state::has_come_about(const steer_request& wish) const {
  if (wish.action == tree_action::cancel && wish.thread == "/") return false;
  const auto is_as_wished = [&wish](const auto& m) {
    if (!at_or_below(m.second.path, wish.thread)) return true;
    return wish.action == tree_action::pause ? m.second.paused : wish.action == tree_action::resume;
  };
  return std::ranges::all_of(members, is_as_wished);
}

/// What has come about is told when the store knows it: it knows what it was told before, too.
void session_state::answer_steered() {
  const auto now = self->clock().now();
  for (auto& s : steered)
    if (!s.kept && (has_come_about(s.wish) || now >= s.until)) {
      s.kept = true;
      keep_state();
    }
  if (unkept > 0) return;
  std::erase_if(steered, [&](auto& s) {
    if (s.kept) s.asker.deliver(status());
    return s.kept;
  });
  park_if_stuck();
}

void session_state::pause_below(const std::string& path) {
  if (!halted.insert(path).second) return;
  if (path == "/") {
    clock.pause(self->clock().now());
    enter(tree_phase::paused);
  }
  for (auto& [id, member] : members)
    if (at_or_below(member.path, path)) self->send(member.actor, atom::pause_v);
}

void session_state::resume_below(const std::string& path) {
  const bool whole = path == "/" && halted.contains("/");
  take_up(halted, path);
  if (whole) {
    auto longer = *context;
    longer.deadline += clock.go_on(self->clock().now());
    context = std::make_shared<tree_context>(std::move(longer));
    enter(tree_phase::running);
    tick_in(longest_tick);
  }
  for (auto& [id, member] : members)
    if (at_or_below(member.path, path)) {
      member.paused = false;
      self->send(member.actor, resume_thread{context->deadline});
    }
}

void session_state::enter(tree_phase phase) {
  tree.phase = phase;
  tell_phase();
  keep_state();
}

/// Tells the store what cannot be seen from the threads' records.
void session_state::keep_state() {
  if (!options.store) return;
  ++unkept;
  self->request(options.store, store_patience, tree_state{tree.id, tree.phase, halted})
      .then(
          [this](const stored&) {
            --unkept;
            answer_steered();
          },
          [this](const caf::error&) {
            --unkept;
            for (auto& s : std::exchange(steered, {}))
              s.asker.deliver(caf::make_error(errc::not_stored));
            park_if_stuck();
          });
}

} // namespace banyan
