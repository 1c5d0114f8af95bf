#pragma once

#include "actors/budget.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace banyan {

/// A tree's own time: it stands still while the whole tree is paused, and what was used before a
/// restart is in it.
class tree_clock {
public:
  void begin(time_point now, std::chrono::milliseconds used_before) { since_ = now - used_before; }

  void pause(time_point now) { paused_ = now; }

  /// Returns how long it stood still.
  nanoseconds go_on(time_point now) {
    const auto pause = now - paused_.value_or(now);
    paused_.reset();
    since_ += pause;
    return pause;
  }

  /// The beginning on a clock that was never stopped: deadlines count from there.
  time_point since() const { return since_; }

  /// How long it is until then, on the tree's time.
  nanoseconds left_until(time_point deadline, time_point now) const {
    return deadline - paused_.value_or(now);
  }

  /// Of the tree's time.
  double wall_ms(time_point now) const {
    return std::chrono::duration<double, std::milli>(paused_.value_or(now) - since_).count();
  }
  std::int64_t used_ms(time_point now) const { return static_cast<std::int64_t>(wall_ms(now)); }

private:
  time_point since_;
  std::optional<time_point> paused_;
};

} // namespace banyan
