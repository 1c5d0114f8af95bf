#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace banyan {

/// Repeatable chance, the same on every platform and compiler: a counter that goes up by
/// `golden`, run through the 64-bit mixer of SplitMix64 (Steele et al. 2014). Two generators with
/// different (seed, stream) are independent of each other.
class chance {
public:
  static constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;

  static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

  explicit chance(std::uint64_t seed, std::uint64_t stream = 0)
      : state_(mix(seed + golden) ^ mix(stream * golden + 1)) {}

  std::uint64_t next() { return mix(state_ += golden); }

  /// Uniform in [0, n), 0 < n < 2^32. The bias is below n / 2^32.
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }

  /// Uniform in [low, high], both ends included; `low` if the range is empty.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return high <= low ? low : low + below(static_cast<std::uint32_t>(high - low + 1));
  }

  /// True with the given probability; 0 is never, 1 is always.
  bool coin(double probability) {
    return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
  }

  template <class T>
  void shuffle(T* items, std::size_t count) {
    for (; count > 1; --count)
      std::swap(items[count - 1], items[below(static_cast<std::uint32_t>(count))]);
  }

private:
  std::uint64_t state_;
};

} // namespace banyan
