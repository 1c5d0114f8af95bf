#include "actors/session.hpp"

#include "actors/narration.hpp"
#include "actors/steering.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace banyan {

void session_state::watch(const watch_request& wish) {
  for (const auto& [id, member] : members) self->send(member.actor, wish);
}

void session_state::tell_phase() const {
  if (!options.reasoning.events) return;
  tree_event e;
  e.what = tree_event::kind::tree;
  e.tree = tree.id;
  e.at_ms = options.reasoning.unix_ms();
  e.state = to_string(tree.phase);
  options.reasoning.events->publish(std::move(e));
}

/// A thread that never began has no narration of its own.
void session_state::tell_refused(const thread_record& thread) const {
  const auto& events = options.reasoning.events;
  narration news;
  news.open({events, tree.id, options.reasoning.unix_ms}, events && events->watched(tree.id));
  news.tell(tree_event::kind::thread, thread, 0, {});
  news.tell_text(thread, 0, 0, thread.segments.front().text);
}

/// A live thread answers for itself: the session has no text of it.
caf::result<thread_status> session_state::show(const thread_request& request) {
  if (const auto* member = live(request.thread))
    return self->delegate(member->actor, with_time(request));
  const auto* record = find(request.thread);
  if (!record) return no_thread(request.thread);
  return thread_status{*record, false, {}, 0, 0, 0};
}

/// A thread knows its deadline, but not that the tree's time stands still.
thread_request session_state::with_time(thread_request request) const {
  if (!halted.contains("/")) return request;
  const auto left = clock.left_until(context->deadline, self->clock().now());
  request.seconds_left = std::chrono::duration<double>(std::max(left, nanoseconds::zero())).count();
  return request;
}

tree_status session_state::status(bool texts) const {
  auto now = texts ? tree : outline(tree);
  now.wall_ms = clock.wall_ms(self->clock().now());
  std::unordered_map<std::string_view, thread_record*> by_path;
  for (auto& thread : now.threads) {
    by_path.emplace(thread.path, &thread);
    thread.waiting_for.clear(); // a boundary is no news of who has come since
  }
  for (const auto& [id, member] : members) {
    if (!member.asker) continue;
    auto& parent = *by_path.at(by_path.at(member.path)->parent());
    parent.phase = thread_phase::waiting;
    parent.waiting_for.push_back(member.path);
  }
  if (!halted.empty())
    for (const auto& [id, member] : members)
      if (is_halted(halted, member.path)) by_path.at(member.path)->phase = thread_phase::paused;
  return {std::make_shared<const banyan::tree>(std::move(now))};
}

} // namespace banyan
