#pragma once

#include "actors/messages.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace banyan {

using time_point = std::chrono::steady_clock::time_point;
using nanoseconds = std::chrono::nanoseconds;

/// When a tree that begins now has to end. A budget without a deadline ends after a day: nothing
/// waits for ever.
time_point deadline_of(const budget&, time_point now);

/// What one thread may still do of its share.
class thread_allowance {
public:
  thread_allowance(const budget&, time_point deadline);

  /// Time until the deadline, never negative.
  nanoseconds time_left(time_point now) const;
  void set_deadline(time_point deadline) { deadline_ = deadline; }

  /// Tokens that may still be sampled; `unlimited` if only the model's context ends the thread.
  std::uint32_t tokens_left() const;
  static constexpr std::uint32_t unlimited = UINT32_MAX;

  /// Tokens that still fit a context of so many; `unlimited` if only the model's ends the thread.
  std::uint32_t room(std::size_t context) const;

  /// Counts sampled tokens.
  void spend(std::uint64_t tokens) { spent_ += tokens; }
  std::uint64_t spent() const { return spent_; }

  /// Begins a spawn round: false if the rounds are used up.
  bool open_round();
  std::uint32_t rounds_left() const;

private:
  std::uint32_t max_tokens_, max_context_, max_rounds_;
  time_point deadline_;
  std::uint64_t spent_ = 0;
  std::uint32_t rounds_ = 0;
};

/// What a tree has spent: threads, depth, tokens. Tokens are reserved before they are sampled, so
/// `max_tree_tokens` is never passed, and a thread may be refused although others will give back
/// what they hold: at most `max_grant` tokens each.
class tree_ledger {
public:
  static constexpr std::uint32_t max_grant = 512;

  explicit tree_ledger(const budget&);

  /// Counts a thread in; `budget_spent` if there is no room for it.
  errc open_thread(std::uint32_t depth);

  /// A thread that has sampled `spent` tokens so far wants `want` more. What was left of its last
  /// grant is free again. Returns what it gets, 0 if nothing is left: its wish where tokens are not
  /// limited, else at most a quarter of what is left (but never less than 32 if there are as many),
  /// so that siblings find something too.
  std::uint32_t reserve(const std::string& thread, std::uint64_t spent, std::uint32_t want);

  /// A thread ended and has sampled `spent` tokens.
  void settle(const std::string& thread, std::uint64_t spent);

  /// A thread ended and nobody knows how much of its last grant it used: all of it counts.
  void forfeit(const std::string& thread) { open_.erase(thread); }

  bool limits_tokens() const { return limits_.max_tree_tokens > 0; }
  std::uint64_t tokens_left() const { return limits_.max_tree_tokens - committed_; }

private:
  struct grant {
    std::uint64_t spent = 0; ///< by the thread, as far as it said
    std::uint32_t open = 0;  ///< granted, and not yet accounted for
  };

  budget limits_;
  std::uint32_t threads_ = 0;
  std::uint64_t committed_ = 0; ///< spent or granted, by all threads
  std::map<std::string, grant> open_;
};

} // namespace banyan
