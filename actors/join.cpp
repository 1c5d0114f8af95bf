#include "actors/join.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace banyan {

namespace {

/// Longer than any tree lives.
constexpr std::chrono::duration<double> longest = std::chrono::hours(24 * 365);

std::optional<time_point> due_of(const join_policy& policy, time_point begin) {
  if (policy.when != join_policy::kind::deadline) return {};
  return begin
         + std::chrono::duration_cast<nanoseconds>(
             std::min(std::chrono::duration<double>(policy.seconds), longest));
}

} // namespace

join::join(join_policy policy, std::size_t num_children, time_point begin)
    : policy_(policy),
      due_(due_of(policy, begin)),
      results_(num_children, child_result{{}, errc::cancelled}),
      arrived_(num_children, false),
      met_(num_children == 0) {}

void join::arrive(std::size_t child, child_result result) {
  if (met_ || arrived_.at(child)) return;
  arrived_[child] = true;
  ++num_arrived_;
  num_solved_ += result.solution.has_value();
  results_[child] = std::move(result);
  met_ = satisfied();
}

void join::look(time_point now) {
  if (met_ || !due_ || now < *due_) return;
  for (std::size_t i = 0; i < results_.size(); ++i)
    if (!arrived_[i]) results_[i].failure = errc::deadline;
  met_ = true;
}

void join::stand_still(nanoseconds pause) {
  if (due_) *due_ += pause;
}

bool join::satisfied() const {
  if (num_arrived_ == results_.size()) return true;
  switch (policy_.when) {
  case join_policy::kind::first_success: return num_solved_ >= 1;
  case join_policy::kind::k_of_n: return num_solved_ >= std::max(policy_.k, 1u);
  case join_policy::kind::all:
  case join_policy::kind::deadline: break;
  }
  return false;
}

std::vector<std::size_t> join::losers() const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; met_ && i < arrived_.size(); ++i)
    if (!arrived_[i]) found.push_back(i);
  return found;
}

} // namespace banyan
