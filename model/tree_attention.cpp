#include "model/tree_attention.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

namespace banyan {

namespace {

constexpr float hidden = -1e30f; ///< score of a key that the query does not see
constexpr std::int64_t chunk =
    32; ///< keys that are skipped together; a multiple of every lane width

std::int64_t padded(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// One head of one sequence, unpacked into float32. Rows beyond the sequence are zeros.
struct head_memory {
  std::vector<float> q, k, v, kt, vt; // [rows, D]; transposed [D, rows]
  std::vector<float> go, gq, gk, gv;  // [rows, D] gradients
  std::vector<float> scores, slopes;  // [block, rows] probabilities; their gradients
  std::vector<float> lse, delta;      // [rows]
  std::vector<std::int32_t> until,
      last; // [rows] visible_until; [rows / chunk] the largest of a chunk

  void resize(std::int64_t rows, std::int64_t dim, std::int64_t block, bool backward) {
    const auto size = static_cast<std::size_t>(rows * dim);
    for (auto* x : {&q, &k, &v, &kt}) x->assign(size, 0);
    scores.resize(static_cast<std::size_t>(rows * block));
    lse.assign(static_cast<std::size_t>(rows), 0);
    until.assign(static_cast<std::size_t>(rows), 0);
    last.assign(static_cast<std::size_t>(rows / chunk), 0);
    if (!backward) return;
    for (auto* x : {&vt, &go, &gq, &gk, &gv}) x->assign(size, 0);
    slopes.resize(scores.size());
    delta.assign(lse.size(), 0);
  }
};

/// D: head_dim; W: lanes. A block of B queries is held in registers against one key at a time.
template <int W, int D, class T>
struct head_kernel {
  static constexpr int V = D / W;                       ///< vectors per row
  static constexpr int B = V >= 8 ? 2 : V >= 4 ? 4 : 8; ///< queries per block
  static constexpr int C = chunk / W;                   ///< vectors per chunk of keys
  static constexpr int G = C >= 4 ? 2 : C;              ///< of them at a time, in registers
  using vec = lanes<W>;
  using ints = typename lane_types<W>::ints;

  const tree_attention_args& a;
  std::int64_t begin, length,
      rows; ///< first token; tokens; tokens padded to whole chunks and blocks
  head_memory& m;

  BANYAN_INLINE std::int64_t stride() const { return (a.heads + 2 * a.kv_heads) * D; }

  /// Copies a head in, turned by the position and scaled.
  BANYAN_INLINE void load_turned(std::int64_t column, float scale, float* to) const {
    const auto* from = static_cast<const T*>(a.qkv) + begin * stride() + column * D;
    for (std::int64_t i = 0; i < length; ++i, from += stride(), to += D) {
      const auto at = a.positions[begin + i] * (D / 2);
      for (int d = 0; d < D / 2; ++d) {
        const float x = to_float(from[d]), y = to_float(from[d + D / 2]);
        const float c = a.cos[at + d] * scale, s = a.sin[at + d] * scale;
        to[d] = x * c - y * s;
        to[d + D / 2] = y * c + x * s;
      }
    }
  }

  BANYAN_INLINE void load_plain(const T* from, std::int64_t step, float* to) const {
    for (std::int64_t i = 0; i < length; ++i, from += step, to += D)
      for (int d = 0; d < D; ++d) to[d] = to_float(from[d]);
  }

  BANYAN_INLINE void store_plain(const float* from, std::int64_t step, T* to) const {
    for (std::int64_t i = 0; i < length; ++i, to += step, from += D)
      for (int d = 0; d < D; d += W) store<W>(to + d, load<W>(from + d));
  }

  /// The gradient of `load_turned`.
  BANYAN_INLINE void store_turned(const float* from, float scale, std::int64_t column) const {
    auto* to = static_cast<T*>(a.grad_qkv) + begin * stride() + column * D;
    for (std::int64_t i = 0; i < length; ++i, from += D, to += stride()) {
      const auto at = a.positions[begin + i] * (D / 2);
      float turned[D];
      for (int d = 0; d < D / 2; ++d) {
        const float c = a.cos[at + d] * scale, s = a.sin[at + d] * scale;
        turned[d] = from[d] * c + from[d + D / 2] * s;
        turned[d + D / 2] = from[d + D / 2] * c - from[d] * s;
      }
      for (int d = 0; d < D; d += W) store<W>(to + d, load<W>(turned + d));
    }
  }
  BANYAN_INLINE void transpose(const float* from, float* to) const {
    for (std::int64_t i = 0; i < length; ++i)
      for (int d = 0; d < D; ++d) to[d * rows + i] = from[i * D + d];
  }

  BANYAN_INLINE void load_visibility() const {
    for (std::int64_t i = 0; i < length; ++i) {
      m.until[static_cast<std::size_t>(i)] = a.visible_until[begin + i];
      auto& last = m.last[static_cast<std::size_t>(i / chunk)];
      last = std::max(last, a.visible_until[begin + i]);
    }
  }

  /// Keys from `j` on that some query of the block at `i` may see.
  BANYAN_INLINE bool skips(std::int64_t j, std::int64_t i) const {
    return m.last[static_cast<std::size_t>(j / chunk)] <= i;
  }

  /// to[r][j] = x[i + r] · yt[:, j] for B rows and one chunk of keys.
  BANYAN_INLINE void products(const float* x, const float* yt, std::int64_t j, float* to) const {
    for (int g = 0; g < C; g += G) {
      vec sum[B][G] = {};
      for (int d = 0; d < D; ++d) {
        vec y[G];
        for (int c = 0; c < G; ++c) y[c] = load<W>(yt + d * rows + j + (g + c) * W);
        for (int r = 0; r < B; ++r)
          for (int c = 0; c < G; ++c) sum[r][c] += x[r * D + d] * y[c];
      }
      for (int r = 0; r < B; ++r)
        for (int c = 0; c < G; ++c) store<W>(to + r * rows + j + (g + c) * W, sum[r][c]);
    }
  }

  /// Scores of a chunk with hidden keys put far down.
  BANYAN_INLINE void scores(std::int64_t i, std::int64_t j) const {
    products(m.q.data() + i * D, m.kt.data(), j, m.scores.data());
    ints key;
    for (int w = 0; w < W; ++w) key[w] = static_cast<std::int32_t>(j) + w;
    for (int c = 0; c < C; ++c, key += W) {
      ints until;
      std::memcpy(&until, m.until.data() + j + c * W, sizeof until);
      for (int r = 0; r < B; ++r) {
        const auto query = static_cast<std::int32_t>(i) + r;
        auto* s = m.scores.data() + r * rows + j + c * W;
        const ints seen = (until > query) & (key <= query);
        store<W>(s, seen ? load<W>(s) : vec{} + hidden);
      }
    }
  }

  /// sum[r] += Σ_j p[r][j] · y[j] over a chunk of keys.
  BANYAN_INLINE void mix(const float* p, const float* y, std::int64_t j, vec (&sum)[B][V]) const {
    for (std::int64_t t = j; t < j + chunk; ++t) {
      vec row[V];
      for (int v = 0; v < V; ++v) row[v] = load<W>(y + t * D + v * W);
      for (int r = 0; r < B; ++r)
        for (int v = 0; v < V; ++v) sum[r][v] += p[r * rows + t] * row[v];
    }
  }

  /// y[j] += Σ_r p[r][j] · x[r] over a chunk of keys.
  BANYAN_INLINE void spread(const float* p, const float* x, std::int64_t j, float* y) const {
    vec from[B][V];
    for (int r = 0; r < B; ++r)
      for (int v = 0; v < V; ++v) from[r][v] = load<W>(x + r * D + v * W);
    for (std::int64_t t = j; t < j + chunk; ++t)
      for (int v = 0; v < V; ++v) {
        vec sum = load<W>(y + t * D + v * W);
        for (int r = 0; r < B; ++r) sum += p[r * rows + t] * from[r][v];
        store<W>(y + t * D + v * W, sum);
      }
  }

  template <class Body>
  BANYAN_INLINE void for_chunks(std::int64_t i, Body body) const {
    for (std::int64_t j = 0; j < i + B && j < rows; j += chunk)
      if (!skips(j, i)) body(j);
  }

  BANYAN_INLINE void forward_block(std::int64_t i) const {
    vec top[B], total[B] = {}, out[B][V] = {};
    for (int r = 0; r < B; ++r) top[r] = vec{} + hidden;
    for_chunks(
        i, [&](std::int64_t j) __attribute__((always_inline)) {
          scores(i, j);
          for (int r = 0; r < B; ++r)
            for (int c = 0; c < C; ++c) {
              const auto s = load<W>(m.scores.data() + r * rows + j + c * W);
              top[r] = s > top[r] ? s : top[r];
            }
        });
    float most[B];
    for (int r = 0; r < B; ++r) most[r] = largest<W>(top[r]);
    for_chunks(
        i, [&](std::int64_t j) __attribute__((always_inline)) {
          for (int r = 0; r < B; ++r)
            for (int c = 0; c < C; ++c) {
              auto* s = m.scores.data() + r * rows + j + c * W;
              const auto p = exponential<W>(load<W>(s) - most[r]);
              total[r] += p;
              store<W>(s, p);
            }
          mix(m.scores.data(), m.v.data(), j, out);
        });
    for (int r = 0; r < B; ++r) {
      const auto all = sum<W>(total[r]);
      m.lse[static_cast<std::size_t>(i + r)] = most[r] + std::log(all);
      for (int v = 0; v < V; ++v) store<W>(m.q.data() + (i + r) * D + v * W, out[r][v] / all);
    }
  }

  BANYAN_INLINE void backward_block(std::int64_t i) const {
    vec query[B][V] = {};
    for_chunks(
        i, [&](std::int64_t j) __attribute__((always_inline)) {
          scores(i, j);
          products(m.go.data() + i * D, m.vt.data(), j, m.slopes.data());
          for (int r = 0; r < B; ++r) {
            const auto lse = m.lse[static_cast<std::size_t>(i + r)];
            const auto delta = m.delta[static_cast<std::size_t>(i + r)];
            for (int c = 0; c < C; ++c) {
              auto* s = m.scores.data() + r * rows + j + c * W;
              auto* g = m.slopes.data() + r * rows + j + c * W;
              const auto p = exponential<W>(load<W>(s) - lse);
              store<W>(s, p);
              store<W>(g, p * (load<W>(g) - delta));
            }
          }
          mix(m.slopes.data(), m.k.data(), j, query);
          spread(m.slopes.data(), m.q.data() + i * D, j, m.gk.data());
          spread(m.scores.data(), m.go.data() + i * D, j, m.gv.data());
        });
    for (int r = 0; r < B; ++r)
      for (int v = 0; v < V; ++v) store<W>(m.gq.data() + (i + r) * D + v * W, query[r][v]);
  }

  BANYAN_INLINE void load_keys(std::int64_t kv) const {
    load_visibility();
    load_turned(a.heads + kv, 1, m.k.data());
    load_plain(static_cast<const T*>(a.qkv) + begin * stride() + (a.heads + a.kv_heads + kv) * D,
               stride(), m.v.data());
    transpose(m.k.data(), m.kt.data());
  }

  BANYAN_INLINE void forward(std::int64_t kv) const {
    const auto scale = 1 / std::sqrt(float(D));
    load_keys(kv);
    for (auto h = kv * a.heads / a.kv_heads; h < (kv + 1) * a.heads / a.kv_heads; ++h) {
      load_turned(h, scale, m.q.data());
      for (std::int64_t i = 0; i < length; i += B) forward_block(i); // leaves the outputs in q
      store_plain(m.q.data(), a.heads * D, static_cast<T*>(a.output) + (begin * a.heads + h) * D);
      std::copy_n(m.lse.data(), length, a.log_sum_exp + h * a.num_tokens + begin);
      std::fill(m.q.begin() + length * D, m.q.end(), 0.0f);
    }
  }

  BANYAN_INLINE void load_gradient(std::int64_t h) const {
    const auto* grad = static_cast<const T*>(a.grad_output) + (begin * a.heads + h) * D;
    const auto* out = static_cast<const T*>(a.output) + (begin * a.heads + h) * D;
    load_plain(grad, a.heads * D, m.go.data());
    std::copy_n(a.log_sum_exp + h * a.num_tokens + begin, length, m.lse.data());
    for (std::int64_t i = 0; i < length; ++i, out += a.heads * D) {
      float dot = 0;
      for (int d = 0; d < D; ++d)
        dot += to_float(out[d]) * m.go[static_cast<std::size_t>(i * D + d)];
      m.delta[static_cast<std::size_t>(i)] = dot;
    }
  }

  BANYAN_INLINE void backward(std::int64_t kv) const {
    const auto scale = 1 / std::sqrt(float(D));
    load_keys(kv);
    transpose(m.v.data(), m.vt.data());
    for (auto h = kv * a.heads / a.kv_heads; h < (kv + 1) * a.heads / a.kv_heads; ++h) {
      load_turned(h, scale, m.q.data());
      load_gradient(h);
      for (std::int64_t i = 0; i < length; i += B) backward_block(i);
      store_turned(m.gq.data(), scale, h);
    }
    store_turned(m.gk.data(), 1, a.heads + kv);
    store_plain(m.gv.data(), stride(),
                static_cast<T*>(a.grad_qkv) + begin * stride() + (a.heads + a.kv_heads + kv) * D);
  }
};

template <int D, class T, bool Backward>
struct sequence_kernel {
  /// Item `sequence · kv_heads + kv head`.
  template <int W>
  BANYAN_INLINE static void run(const tree_attention_args& a, std::int64_t item,
                                head_memory* memory) {
    auto& m = *memory;
    using kernel = head_kernel<W, D, T>;
    const auto sequence = item / a.kv_heads;
    const std::int64_t begin = a.starts[sequence], length = a.starts[sequence + 1] - begin;
    const auto rows = padded(length + kernel::B, chunk);
    m.resize(rows, D, kernel::B, Backward);
    const kernel k{a, begin, length, rows, m};
    if constexpr (Backward)
      k.backward(item % a.kv_heads);
    else
      k.forward(item % a.kv_heads);
  }
};

template <int D, class T, bool Backward>
void run_all(const tree_attention_args& a) {
  at::parallel_for(0, a.num_sequences * a.kv_heads, 1, [&](std::int64_t from, std::int64_t to) {
    thread_local head_memory memory;
    for (auto item = from; item < to; ++item)
      run_widest<sequence_kernel<D, T, Backward>>(a, item, &memory);
  });
}

template <bool Backward, int D>
void run_type(const tree_attention_args& a) {
  if (a.bfloat16)
    run_all<D, bfloat16, Backward>(a);
  else
    run_all<D, float, Backward>(a);
}

template <bool Backward>
void run_dim(const tree_attention_args& a) {
  switch (a.head_dim) {
  case 16: return run_type<Backward, 16>(a);
  case 32: return run_type<Backward, 32>(a);
  case 64: return run_type<Backward, 64>(a);
  case 128: return run_type<Backward, 128>(a);
  }
}

} // namespace

bool tree_attention_fits(std::int64_t d) { return d == 16 || d == 32 || d == 64 || d == 128; }

void tree_attention_forward(const tree_attention_args& a) { run_dim<false>(a); }
void tree_attention_backward(const tree_attention_args& a) { run_dim<true>(a); }

} // namespace banyan
