#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

// Vectors of floats for the CPU kernels, of a width chosen when the program runs: bundles travel,
// so nothing may be compiled for the machine that builds them. A kernel is a struct with an inlined
// `template <int W> static void run(…)`; `run_widest<kernel>(…)` runs the best of its versions.

namespace banyan {

// Lanes live in registers of inlined functions and never cross a call, so their ABI does not
// matter.
#pragma GCC diagnostic ignored "-Wpsabi"

#define BANYAN_INLINE [[gnu::always_inline]] inline

/// A bfloat16 as it lies in memory: the upper half of a float.
struct bfloat16 {
  std::uint16_t bits;
};

template <int W>
struct lane_types {
  typedef float floats __attribute__((vector_size(W * 4)));
  typedef std::int32_t ints __attribute__((vector_size(W * 4)));
  typedef std::uint32_t words __attribute__((vector_size(W * 4)));
  typedef std::uint16_t halves __attribute__((vector_size(W * 2)));
};
template <int W>
using lanes = typename lane_types<W>::floats;

BANYAN_INLINE float to_float(float x) { return x; }
BANYAN_INLINE float to_float(bfloat16 x) {
  const auto word = std::uint32_t{x.bits} << 16;
  float result;
  std::memcpy(&result, &word, sizeof result);
  return result;
}

template <int W>
BANYAN_INLINE lanes<W> load(const float* p) {
  lanes<W> x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

template <int W>
BANYAN_INLINE lanes<W> load(const bfloat16* p) {
  typename lane_types<W>::halves bits;
  std::memcpy(&bits, p, sizeof bits);
  return (lanes<W>)(__builtin_convertvector(bits, typename lane_types<W>::words) << 16);
}

/// The first `count` < W lanes from memory, the others 0.
template <int W, class T>
BANYAN_INLINE lanes<W> load_first(const T* p, std::int64_t count) {
  T padded[W] = {};
  for (std::int64_t i = 0; i < count; ++i) padded[i] = p[i];
  return load<W>(padded);
}

template <int W>
BANYAN_INLINE void store(float* p, const lanes<W>& x) {
  std::memcpy(p, &x, sizeof x);
}

/// Rounds to the nearest, ties to even. Infinities stay; a NaN stays one.
template <int W>
BANYAN_INLINE void store(bfloat16* p, const lanes<W>& x) {
  using words = typename lane_types<W>::words;
  const auto bits = (words)x;
  auto rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  rounded = x == x ? rounded : (words{} + 0x7fc0);
  const auto result = __builtin_convertvector(rounded, typename lane_types<W>::halves);
  std::memcpy(p, &result, sizeof result);
}

template <int W, class T>
BANYAN_INLINE void store_first(T* p, const lanes<W>& x, std::int64_t count) {
  T padded[W];
  store<W>(padded, x);
  for (std::int64_t i = 0; i < count; ++i) p[i] = padded[i];
}

template <int W>
BANYAN_INLINE void halve(const lanes<W>& x, lanes<W / 2>& low, lanes<W / 2>& high) {
  std::memcpy(&low, &x, sizeof low);
  std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
}

template <int W>
BANYAN_INLINE float sum(const lanes<W>& x) {
  if constexpr (W == 1) {
    return x[0];
  } else {
    lanes<W / 2> low, high;
    halve<W>(x, low, high);
    return sum<W / 2>(low + high);
  }
}

template <int W>
BANYAN_INLINE float largest(const lanes<W>& x) {
  if constexpr (W == 1) {
    return x[0];
  } else {
    lanes<W / 2> low, high;
    halve<W>(x, low, high);
    return largest<W / 2>(low > high ? low : high);
  }
}

template <int W, std::size_t... I>
BANYAN_INLINE lanes<W> add_neighbours(const lanes<W>& a, const lanes<W>& b,
                                      std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

/// The sums of W vectors as one vector: lane j of the result, in x[0], is the sum of x[j].
template <int W, int N = W>
BANYAN_INLINE void sum_each(lanes<W>* x) {
  if constexpr (N > 1) {
#pragma GCC unroll 16
    for (int i = 0; i < N / 2; ++i)
      x[i] = add_neighbours<W>(x[2 * i], x[2 * i + 1], std::make_index_sequence<W>());
    sum_each<W, N / 2>(x);
  }
}

/// Swaps the lanes of `a` that have bit `Step` in their number with those of `b` that have not.
template <int W, int Step, std::size_t... I>
BANYAN_INLINE void exchange(lanes<W>& a, lanes<W>& b, std::index_sequence<I...>) {
  const auto first = __builtin_shufflevector(a, b, (I & Step ? W + I - Step : I)...);
  b = __builtin_shufflevector(a, b, (I & Step ? W + I : I + Step)...);
  a = first;
}

/// Lane j of x[i] becomes lane i of x[j], for W vectors.
template <int W, int Step = W / 2>
BANYAN_INLINE void transpose(lanes<W>* x) {
  if constexpr (Step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
      if (!(i & Step)) exchange<W, Step>(x[i], x[i + Step], std::make_index_sequence<W>());
    transpose<W, Step / 2>(x);
  }
}

/// e^x to about 1 ulp; |x| beyond 87 counts as 87, so nothing overflows and nothing is denormal.
template <int W>
BANYAN_INLINE lanes<W> exponential(const lanes<W>& argument) {
  constexpr float limit = 87, magic = 0x1.8p23f; // adding `magic` rounds to an integer
  lanes<W> x = argument > limit ? lanes<W>{} + limit : argument;
  x = x < -limit ? lanes<W>{} - limit : x;
  const lanes<W> shifted = x * 0x1.715476p+0f + magic; // log2(e)
  const lanes<W> n = shifted - magic;
  const lanes<W> r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f; // ln(2) in two parts, |r| < 0.35
  lanes<W> taylor = r * (1.0f / 5040) + 1.0f / 720;
  taylor = taylor * r + 1.0f / 120;
  taylor = taylor * r + 1.0f / 24;
  taylor = taylor * r + 1.0f / 6;
  taylor = taylor * r + 1.0f / 2;
  taylor = taylor * r + 1.0f;
  taylor = taylor * r + 1.0f;
  using ints = typename lane_types<W>::ints;
  return taylor * (lanes<W>)((__builtin_convertvector(n, ints) + 127) << 23);
}

#if defined(__x86_64__)

template <class Kernel, class... Args>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]] void
run_avx512(const Args&... args) {
  Kernel::template run<16>(args...);
}

template <class Kernel, class... Args>
[[gnu::target("avx2,fma")]] void run_avx2(const Args&... args) {
  Kernel::template run<8>(args...);
}

/// Runs the widest version of a kernel that this machine has.
template <class Kernel, class... Args>
void run_widest(const Args&... args) {
  static const bool avx512 = __builtin_cpu_supports("avx512bw")
                             && __builtin_cpu_supports("avx512dq")
                             && __builtin_cpu_supports("avx512vl");
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx512) return run_avx512<Kernel>(args...);
  if (avx2) return run_avx2<Kernel>(args...);
  Kernel::template run<4>(args...);
}

#else

template <class Kernel, class... Args>
void run_widest(const Args&... args) {
  Kernel::template run<4>(args...);
}

#endif

} // namespace banyan
