#include "actors/waiting_tree.hpp"

#include "actors/planting.hpp"
#include "actors/steering.hpp"

#include <algorithm>
#include <string_view>

namespace banyan {
namespace {

void cancel(thread_record& thread, std::int64_t now_ms) {
  lay_down(thread);
  thread.phase = thread_phase::cancelled;
  thread.failure = errc::cancelled;
  thread.since_ms = now_ms;
  thread.history.push_back({thread.phase, now_ms});
}

std::vector<thread_record> cancel_below(tree_work& work, std::string_view path,
                                        std::int64_t now_ms) {
  std::vector<thread_record> changed;
  for (auto& thread : work.past)
    if (!ended(thread.phase) && at_or_below(thread.path, path)) {
      cancel(thread, now_ms);
      changed.push_back(thread);
    }
  return changed;
}

/// The threads that are paused now and were not, or the other way round. The root of a tree that
/// nobody has begun is on record from then on.
std::vector<thread_record> mark_steered(tree_work& work, const halted_paths& before,
                                        std::int64_t now_ms) {
  if (work.past.empty()) work.past = plant(work.request, work.created_ms)->threads;
  std::vector<thread_record> changed;
  for (auto& thread : work.past) {
    const bool halted = is_halted(work.halted, thread.path);
    if (ended(thread.phase) || halted == is_halted(before, thread.path)) continue;
    lay_down(thread);
    thread.phase = halted ? thread_phase::paused : thread_phase::queued;
    thread.since_ms = now_ms;
    thread.history.push_back({thread.phase, now_ms});
    changed.push_back(thread);
  }
  return changed;
}

} // namespace

tree shown(const tree_work& work) {
  auto t = std::move(*plant(work.request, work.created_ms));
  if (!work.past.empty()) t.threads = work.past;
  if (work.halted.contains("/")) t.phase = tree_phase::paused;
  t.wall_ms = static_cast<double>(work.used_ms);
  for (auto& thread : t.threads) {
    lay_down(thread);
    if (!ended(thread.phase) && is_halted(work.halted, thread.path))
      thread.phase = thread_phase::paused;
  }
  return t;
}

tree cancelled(const tree_work& work, std::int64_t now_ms) {
  auto t = shown(work);
  for (auto& thread : t.threads)
    if (!ended(thread.phase)) cancel(thread, now_ms);
  conclude(t, now_ms);
  return t;
}

caf::expected<std::vector<thread_record>> steer(tree_work& work, const steer_request& request,
                                                std::int64_t now_ms) {
  if (request.thread != "/") {
    const auto known = std::ranges::find(work.past, request.thread, &thread_record::path);
    if (known == work.past.end()) return no_thread(request.thread);
    if (ended(known->phase)) return has_ended(request);
  }
  const auto before = work.halted;
  switch (request.action) {
  case tree_action::cancel: return cancel_below(work, request.thread, now_ms);
  case tree_action::pause: work.halted.insert(request.thread); break;
  case tree_action::resume:
    if (is_halted_above(work.halted, request.thread)) return is_part_of_paused(request);
    take_up(work.halted, request.thread);
    break;
  }
  return mark_steered(work, before, now_ms);
}

} // namespace banyan
