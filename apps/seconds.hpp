#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace banyan {

/// Of a number that somebody gave; what is longer than a century is a century, which a clock can
/// still count on from now.
inline std::chrono::milliseconds milliseconds_of(double seconds) {
  constexpr double century = 100.0 * 365 * 24 * 3600;
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(std::clamp(seconds, 0.0, century) * 1000));
}

} // namespace banyan
