#include "actors/budget.hpp"

#include <algorithm>

namespace banyan {

time_point deadline_of(const budget& limits, time_point now) {
  using namespace std::chrono_literals;
  const auto given = std::chrono::duration<double>(limits.deadline_s);
  const std::chrono::duration<double> longest = 24h;
  const auto seconds = limits.deadline_s > 0 ? std::min(given, longest) : longest;
  return now + std::chrono::duration_cast<nanoseconds>(seconds);
}

// ---- one thread ----

thread_allowance::thread_allowance(const budget& limits, time_point deadline)
    : max_tokens_(limits.max_tokens),
      max_context_(limits.max_context),
      max_rounds_(limits.max_rounds),
      deadline_(deadline) {}

nanoseconds thread_allowance::time_left(time_point now) const {
  return std::max(nanoseconds(deadline_ - now), nanoseconds::zero());
}

std::uint32_t thread_allowance::tokens_left() const {
  if (max_tokens_ == 0) return unlimited;
  return static_cast<std::uint32_t>(max_tokens_ - std::min<std::uint64_t>(spent_, max_tokens_));
}

std::uint32_t thread_allowance::room(std::size_t context) const {
  if (max_context_ == 0) return unlimited;
  return static_cast<std::uint32_t>(max_context_ - std::min<std::size_t>(context, max_context_));
}

bool thread_allowance::open_round() {
  if (max_rounds_ > 0 && rounds_ == max_rounds_) return false;
  ++rounds_;
  return true;
}

std::uint32_t thread_allowance::rounds_left() const {
  return max_rounds_ == 0 ? unlimited : max_rounds_ - rounds_;
}

// ---- the tree ----

tree_ledger::tree_ledger(const budget& limits) : limits_(limits) {}

errc tree_ledger::open_thread(std::uint32_t depth) {
  if (depth > limits_.max_depth) return errc::budget_spent;
  if (limits_.max_threads > 0 && threads_ == limits_.max_threads) return errc::budget_spent;
  ++threads_;
  return errc::none;
}

std::uint32_t tree_ledger::reserve(const std::string& thread, std::uint64_t spent,
                                   std::uint32_t want) {
  if (!limits_tokens()) return want;
  settle(thread, spent);
  const auto share = std::clamp<std::uint64_t>(tokens_left() / 4, 32, max_grant);
  const auto tokens =
      static_cast<std::uint32_t>(std::min({share, tokens_left(), std::uint64_t{want}}));
  open_[thread] = {spent, tokens};
  committed_ += tokens;
  return tokens;
}

void tree_ledger::settle(const std::string& thread, std::uint64_t spent) {
  if (!limits_tokens()) return;
  auto& last = open_[thread];
  committed_ -= last.open;
  // A pool that samples more than it was asked for must not let the sum run over.
  committed_ = std::min(committed_ + spent - std::min(spent, last.spent), limits_.max_tree_tokens);
  last = {std::max(spent, last.spent), 0};
}

} // namespace banyan
