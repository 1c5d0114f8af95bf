#include "trainer/credit.hpp"

#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

namespace banyan {

std::vector<double> group_advantages(std::span<const double> rewards, bool divide_by_std) {
  std::vector<double> advantages(rewards.size());
  if (std::ranges::adjacent_find(rewards, std::not_equal_to()) == rewards.end()) return advantages;
  double mean = 0, variance = 0;
  for (auto r : rewards) mean += r / double(rewards.size());
  for (auto r : rewards) variance += (r - mean) * (r - mean) / double(rewards.size());
  const auto scale = divide_by_std ? 1 / (std::sqrt(variance) + 1e-6) : 1.0;
  for (std::size_t i = 0; i < rewards.size(); ++i) advantages[i] = (rewards[i] - mean) * scale;
  return advantages;
}

bool answer_used(const tree& t, const thread_record& child) {
  if (!child.solution || child.segments.empty()) return false;
  const auto begun = read_opening(child.segments.front().text);
  const std::span<const std::string> answer(t.outcome.operations);
  return begun.size > 0 && begun.operations.size() <= answer.size()
         && std::ranges::equal(begun.operations, answer.first(begun.operations.size()));
}

std::vector<const thread_record*> trained_threads(const tree& t, double reward,
                                                  const credit_options& o) {
  const auto is_trained_on = [&](const thread_record& thread, bool wasted) {
    if (wasted && o.cancelled == cancelled_kind::left_out) return false;
    if (o.kind == credit_kind::shared || thread.depth == 0) return true;
    return !wasted && (reward <= 0 || answer_used(t, thread));
  };
  const auto wasted = t.wasted();
  std::vector<const thread_record*> trained;
  for (std::size_t i = 0; i < t.threads.size(); ++i)
    if (is_trained_on(t.threads[i], wasted[i])) trained.push_back(&t.threads[i]);
  return trained;
}

} // namespace banyan
