#include "trainer/rl_warnings.hpp"

#include <utility>

namespace banyan {

namespace {

/// Steps in a row without an informative group, after which that is worth a word.
constexpr std::int64_t many_idle_steps = 3;

} // namespace

rl_warnings::rl_warnings(std::function<void(std::string_view)> log) : log_(std::move(log)) {}

void rl_warnings::look_at(rl_progress& step, bool is_last) {
  look_for_idle(step, is_last);
  look_for_late(step);
}

void rl_warnings::look_for_idle(rl_progress& step, bool is_last) {
  idle_in_a_row = step.counts.informative > 0 ? 0 : idle_in_a_row + 1;
  const bool never_learnt = is_last && idle_in_a_row == step.step;
  if (idle_in_a_row != many_idle_steps && !(never_learnt && idle_in_a_row < many_idle_steps))
    return;
  const auto steps = std::to_string(idle_in_a_row) + (idle_in_a_row == 1 ? " step" : " steps");
  warn(step, "for " + steps
                 + " no trees of a problem were worth different rewards, so nothing is learnt; "
                 + how_to_differ(step.trees, step.reward_mean));
}

/// They cost as much as the others and count for nothing. Told once.
void rl_warnings::look_for_late(rl_progress& step) {
  const auto& repeated = step.counts.repeated_by_failure;
  const auto late = repeated.contains(errc::deadline) ? repeated.at(errc::deadline) : 0;
  if (told_late_ || 4 * late < step.trees.problems()) return;
  told_late_ = true;
  warn(step, std::to_string(late) + " trees were late and rolled out again, beside "
                 + std::to_string(step.trees.problems())
                 + " that were not; give a larger --deadline or a smaller --concurrency");
}

void rl_warnings::warn(rl_progress& step, const std::string& what) const {
  const auto line = "step " + std::to_string(step.step) + ": " + what;
  step.warning += (step.warning.empty() ? "" : " ") + line;
  if (log_) log_(line);
}

} // namespace banyan
