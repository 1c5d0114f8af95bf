#include "model/elementwise.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

namespace banyan {

namespace {

/// Loops below this many elements stay on one OS thread: waking another costs some microseconds.
constexpr std::int64_t elements_per_thread = 16'384;

/// Calls body(begin, end) for parts of [0, rows) whose rows have `width` elements each.
template <class Body>
void for_rows(std::int64_t rows, std::int64_t width, const Body& body) {
  at::parallel_for(0, rows, std::max<std::int64_t>(1, elements_per_thread / width), body);
}

struct norm_kernel {
  template <int W, class T>
  BANYAN_INLINE static void run(const rms_norm_args<T>& a, std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const auto x = a.x + (a.rows ? a.rows[i] : i) * a.width;
      lanes<W> squares = {};
      std::int64_t d = 0;
      for (; d + W <= a.width; d += W) squares += load<W>(x + d) * load<W>(x + d);
      const auto rest = a.width - d;
      if (rest > 0) squares += load_first<W>(x + d, rest) * load_first<W>(x + d, rest);
      const float scale = 1 / std::sqrt(sum<W>(squares) / float(a.width) + a.eps);
      auto out = a.out + i * a.width;
      for (d = 0; d + W <= a.width; d += W)
        store<W>(out + d, load<W>(x + d) * scale * load<W>(a.weight + d));
      if (rest > 0)
        store_first<W>(
            out + d, load_first<W>(x + d, rest) * scale * load_first<W>(a.weight + d, rest), rest);
    }
  }
};

struct rotate_kernel {
  /// One head: the pair (i, i + half) is turned by the angle of position and i.
  template <int W, class T>
  BANYAN_INLINE static void turn(const T* from, const float* cos, const float* sin,
                                 std::int64_t half, T* to) {
    std::int64_t i = 0;
    for (; i + W <= half; i += W) {
      const auto a = load<W>(from + i), b = load<W>(from + half + i);
      const auto c = load<W>(cos + i), s = load<W>(sin + i);
      store<W>(to + i, a * c - b * s);
      store<W>(to + half + i, b * c + a * s);
    }
    for (; i < half; ++i) {
      const auto a = to_float(from[i]), b = to_float(from[half + i]);
      store<1>(to + i, lanes<1>{a * cos[i] - b * sin[i]});
      store<1>(to + half + i, lanes<1>{b * cos[i] + a * sin[i]});
    }
  }

  template <int W, class T>
  BANYAN_INLINE static void run(const rotate_and_store_args<T>& a, std::int64_t begin,
                                std::int64_t end) {
    const auto half = a.head_dim / 2, row = a.kv_heads * a.head_dim;
    for (auto token = begin; token < end; ++token) {
      auto x = a.qkv + token * (a.heads + 2 * a.kv_heads) * a.head_dim;
      const auto cos = a.cos + a.positions[token] * half, sin = a.sin + a.positions[token] * half;
      for (std::int64_t h = 0; h < a.heads; ++h, x += a.head_dim) turn<W>(x, cos, sin, half, x);
      auto key = a.keys + a.slots[token] * row;
      for (std::int64_t h = 0; h < a.kv_heads; ++h, x += a.head_dim, key += a.head_dim)
        turn<W>(x, cos, sin, half, key);
      std::memcpy(a.values + a.slots[token] * row, x, std::size_t(row) * sizeof(T));
    }
  }
};

struct gate_kernel {
  template <int W, class T>
  BANYAN_INLINE static void run(const T* gate_up, T* out, std::int64_t begin, std::int64_t end,
                                std::int64_t width) {
    for (auto i = begin; i < end; ++i) {
      const auto gate = gate_up + 2 * i * width, up = gate + width;
      std::int64_t d = 0;
      for (; d + W <= width; d += W)
        store<W>(out + i * width + d, gated<W>(load<W>(gate + d), load<W>(up + d)));
      if (const auto rest = width - d; rest > 0)
        store_first<W>(out + i * width + d,
                       gated<W>(load_first<W>(gate + d, rest), load_first<W>(up + d, rest)), rest);
    }
  }

  template <int W>
  BANYAN_INLINE static lanes<W> gated(const lanes<W>& gate, const lanes<W>& up) {
    return gate / (1 + exponential<W>(-gate)) * up;
  }
};

struct gate_backward_kernel {
  template <int W>
  struct halves {
    lanes<W> gate, up;
  };

  template <int W, class T>
  BANYAN_INLINE static void run(const T* gate_up, const T* gradient, T* to, std::int64_t begin,
                                std::int64_t end, std::int64_t width) {
    for (auto i = begin; i < end; ++i) {
      const auto gate = gate_up + 2 * i * width, up = gate + width, slope = gradient + i * width;
      auto to_gate = to + 2 * i * width, to_up = to_gate + width;
      std::int64_t d = 0;
      for (; d + W <= width; d += W) {
        const auto g = slopes<W>(load<W>(gate + d), load<W>(up + d), load<W>(slope + d));
        store<W>(to_gate + d, g.gate);
        store<W>(to_up + d, g.up);
      }
      if (const auto rest = width - d; rest > 0) {
        const auto g = slopes<W>(load_first<W>(gate + d, rest), load_first<W>(up + d, rest),
                                 load_first<W>(slope + d, rest));
        store_first<W>(to_gate + d, g.gate, rest);
        store_first<W>(to_up + d, g.up, rest);
      }
    }
  }

  template <int W>
  BANYAN_INLINE static halves<W> slopes(const lanes<W>& gate, const lanes<W>& up,
                                        const lanes<W>& slope) {
    const lanes<W> open = 1 / (1 + exponential<W>(-gate));
    return {slope * up * open * (1 + gate * (1 - open)), slope * gate * open};
  }
};

} // namespace

template <class T>
void rms_norm(const rms_norm_args<T>& a, on_cpu) {
  for_rows(a.count, a.width, [&](auto begin, auto end) { run_widest<norm_kernel>(a, begin, end); });
}

template <class T>
void rotate_and_store(const rotate_and_store_args<T>& a, on_cpu) {
  const auto width = (a.heads + 2 * a.kv_heads) * a.head_dim;
  for_rows(a.tokens, width,
           [&](auto begin, auto end) { run_widest<rotate_kernel>(a, begin, end); });
}

template <class T>
void gate(const T* gate_up, T* out, std::int64_t count, std::int64_t width, on_cpu) {
  for_rows(count, 2 * width,
           [&](auto begin, auto end) { run_widest<gate_kernel>(gate_up, out, begin, end, width); });
}

template <class T>
void gate_backward(const T* gate_up, const T* gradient, T* to, std::int64_t count,
                   std::int64_t width) {
  for_rows(count, 2 * width, [&](auto begin, auto end) {
    run_widest<gate_backward_kernel>(gate_up, gradient, to, begin, end, width);
  });
}

template <class T>
void embed(const T* table, const std::int32_t* ids, float* out, std::int64_t count,
           std::int64_t width, on_cpu) {
  for (std::int64_t i = 0; i < count; ++i)
    std::transform(table + ids[i] * width, table + (ids[i] + 1) * width, out + i * width,
                   [](T x) { return to_float(x); });
}

#define BANYAN_INSTANTIATE(T)                                                                      \
  template void rms_norm(const rms_norm_args<T>&, on_cpu);                                         \
  template void rotate_and_store(const rotate_and_store_args<T>&, on_cpu);                         \
  template void gate(const T*, T*, std::int64_t, std::int64_t, on_cpu);                            \
  template void gate_backward(const T*, const T*, T*, std::int64_t, std::int64_t);                 \
  template void embed(const T*, const std::int32_t*, float*, std::int64_t, std::int64_t, on_cpu);
BANYAN_INSTANTIATE(float)
BANYAN_INSTANTIATE(bfloat16)
#undef BANYAN_INSTANTIATE

} // namespace banyan
