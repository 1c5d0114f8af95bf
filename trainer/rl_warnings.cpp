#include "trainer/rl_warnings.hpp"

#include <utility>

namespace banyan {

namespace {

/// Steps in a row without an informative group, after which that is worth a word.
constexpr std::int64_t many_idle_steps = 3;

} // namespace

advice why_none(const rollout_counts& counts) {
  std::uint64_t all = 0;
  std::string reasons;
  for (const auto& [failure, count] : counts.repeated_by_failure) {
    all += count;
    reasons += (reasons.empty() ? "" : ", ") + std::to_string(count) + " with "
               + std::string(to_string(failure));
  }
  const auto trees = std::to_string(all) + " trees ";
  if (counts.repeated_by_failure.size() == 1
      && counts.repeated_by_failure.contains(errc::cancelled))
    return {"all " + trees + "were cancelled by somebody", {}};
  if (counts.repeated_by_failure.size() == 1 && counts.repeated_by_failure.contains(errc::deadline))
    return {"all " + trees + "were late", remedy::more_time};
  return {trees + "failed: " + reasons, {}};
}

advice why_alike(const evaluation& trees, double reward_mean) {
  if (reward_mean < trees.accuracy() / 2)
    return {"right trees are worth little or nothing, for they break the budget in their prompt or "
            "cost too much",
            remedy::cheaper_trees};
  const auto most = [&trees](errc why) {
    const auto found = trees.failures().find(to_string(why));
    return found != trees.failures().end() && 2 * found->second > trees.problems();
  };
  if (most(errc::context_full)) return {"most trees outgrew their context", remedy::more_context};
  if (most(errc::budget_spent)) return {"most trees used up their budget", remedy::larger_budget};
  return trees.accuracy() > 0.5 ? advice{"most trees are right", remedy::harder_problems}
                                : advice{"most trees are wrong", remedy::easier_problems};
}

rl_warnings::rl_warnings(run_voice voice) : voice_(std::move(voice)) {}

void rl_warnings::look_at(const rl_progress& step, bool is_last) {
  look_for_idle(step, is_last);
  look_for_late(step);
}

void rl_warnings::look_for_idle(const rl_progress& step, bool is_last) {
  idle_in_a_row = step.counts.informative > 0 ? 0 : idle_in_a_row + 1;
  const bool never_learnt = is_last && idle_in_a_row == step.step;
  if (idle_in_a_row != many_idle_steps && !(never_learnt && idle_in_a_row < many_idle_steps))
    return;
  const auto steps = std::to_string(idle_in_a_row) + (idle_in_a_row == 1 ? " step" : " steps");
  const auto why = why_alike(step.trees, step.reward_mean);
  warn(step, voice_.with("for " + steps
                             + " no trees of a problem were worth different rewards, so nothing is "
                               "learnt: "
                             + why.trouble,
                         *why.cure));
}

/// They cost as much as the others and count for nothing. Told once.
void rl_warnings::look_for_late(const rl_progress& step) {
  const auto& repeated = step.counts.repeated_by_failure;
  const auto late = repeated.contains(errc::deadline) ? repeated.at(errc::deadline) : 0;
  if (told_late_ || 4 * late < step.trees.problems()) return;
  told_late_ = true;
  warn(step, voice_.with(std::to_string(late)
                             + " trees were late, or paused, and rolled out again, beside "
                             + std::to_string(step.trees.problems()) + " that were not",
                         remedy::more_time));
}

void rl_warnings::warn(const rl_progress& step, const std::string& what) const {
  voice_.say("step " + std::to_string(step.step) + ": " + what);
}

} // namespace banyan
