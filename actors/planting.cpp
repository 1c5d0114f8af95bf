#include "actors/planting.hpp"

#include "solver/trace.hpp"

#include <utility>

namespace banyan {

std::optional<std::uint32_t> first_epoch(const thread_record& thread) {
  for (const auto& s : thread.segments)
    if (!s.epochs.empty()) return s.epochs.front();
  return {};
}

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
  t.weights_epoch = request.weights_epoch.value_or(0);
  t.created_ms = created_ms;
  auto& root = t.add("/");
  root.since_ms = created_ms;
  root.segments.push_back({segment_kind::prompt, t.prompt, {}, {}, {}});
  return t;
}

void lay_down(thread_record& thread) {
  if (ended(thread.phase)) return;
  thread.waiting_for.clear();
  auto& history = thread.history;
  const auto last = history.empty() ? thread_phase::queued : history.back().phase;
  if (last == thread_phase::queued || last == thread_phase::paused) return;
  thread.phase = thread_phase::queued;
  history.push_back({thread.phase, thread.since_ms});
}

void conclude(tree& t, std::int64_t finished_ms) {
  const auto& root = t.root();
  t.failure = root.failure;
  t.phase = root.failure == errc::none        ? tree_phase::done
            : root.failure == errc::cancelled ? tree_phase::cancelled
                                              : tree_phase::failed;
  t.outcome = judge(t.problem, root.solution.value_or(""));
  t.weights_epoch = first_epoch(root).value_or(0);
  t.finished_ms = finished_ms;
}

void keep_place(thread_record& now, const thread_record& known) {
  now.path = known.path;
  now.depth = known.depth;
  now.round = known.round;
  now.awaited = known.awaited;
}

} // namespace banyan
