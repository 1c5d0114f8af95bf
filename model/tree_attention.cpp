#include "model/tree_attention.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include <ATen/Parallel.h>

namespace banyan {

namespace {

constexpr float hidden = -1e30f;  ///< score of a key that the query does not see
constexpr std::int64_t tile = 32; ///< queries, and keys, that are worked on together

/// e^x of softmax, x ≤ 0. What is too small to count beside the largest is 0, as are hidden keys:
/// products with it would be denormal, and those are slow.
template <int W>
BANYAN_INLINE lanes<W> weight(const lanes<W>& x) {
  const auto e = exponential<W>(x);
  return x < -60.0f ? lanes<W>{} : e;
}

struct alignas(64) cache_line {
  float values[16];
};

/// Rows of one head of a whole sequence in float32; those beyond the sequence are zeros.
class head_rows {
public:
  void resize(std::int64_t floats) {
    lines_.assign(static_cast<std::size_t>(floats) / std::size(cache_line{}.values), {});
  }
  float* at(std::int64_t offset) { return lines_.data()->values + offset; }

private:
  std::vector<cache_line> lines_;
};

/// What one head of one sequence needs: its keys as a whole, its queries tile by tile.
template <int D>
struct head_memory {
  head_rows k, v, gk, gv;                // [rows, D] and their gradients
  std::vector<std::int32_t> until;       // [rows] visible_until
  std::vector<std::int32_t> least, last; // [rows / tile] the smallest and the largest of a tile

  alignas(64) float q[tile * D], qt[D * tile];      // [tile, D] and transposed
  alignas(64) float go[tile * D], got[D * tile];    // gradient of the output, and transposed
  alignas(64) float out[tile * D];                  // the output; the gradient of the queries
  alignas(64) float s[tile * tile], g[tile * tile]; // [key, query] probabilities; their gradients
  alignas(64) float lse[tile], delta[tile];         // log-sum-exp; output · its gradient

  void resize(std::int64_t rows, bool backward) {
    for (auto* x : {&k, &v}) x->resize(rows * D);
    if (backward)
      for (auto* x : {&gk, &gv}) x->resize(rows * D);
    until.assign(static_cast<std::size_t>(rows), 0);
    least.resize(static_cast<std::size_t>(rows / tile));
    last.resize(least.size());
  }
};

/// D: head_dim; W: lanes. Scores lie with a key in each row and a query in each lane, so that what
/// softmax does for a query needs no sum across lanes.
template <int W, int D, class T>
struct head_kernel {
  static constexpr int Q = tile / W;            ///< vectors of a row of scores
  static constexpr int sums = W >= 16 ? 16 : 8; ///< that the registers hold in a product
  using vec = lanes<W>;
  using ints = typename lane_types<W>::ints;

  const tree_attention_args& a;
  std::int64_t begin, length, rows; ///< first token; tokens; the same in whole tiles
  head_memory<D>& m;

  BANYAN_INLINE std::int64_t stride() const { return (a.heads + 2 * a.kv_heads) * D; }

  /// Copies `count` tokens of a head in, from token `i` on, turned by the position and scaled.
  BANYAN_INLINE void load_turned(std::int64_t i, std::int64_t count, std::int64_t column,
                                 float scale, float* to) const {
    const auto* from = static_cast<const T*>(a.qkv) + (begin + i) * stride() + column * D;
    for (std::int64_t n = 0; n < count; ++n, from += stride(), to += D) {
      const auto at = a.positions[begin + i + n] * (D / 2);
      for (int d = 0; d < D / 2; ++d) {
        const float x = to_float(from[d]), y = to_float(from[d + D / 2]);
        const float c = a.cos[at + d] * scale, s = a.sin[at + d] * scale;
        to[d] = x * c - y * s;
        to[d + D / 2] = y * c + x * s;
      }
    }
  }

  /// The gradient of `load_turned`.
  BANYAN_INLINE void store_turned(const float* from, std::int64_t i, std::int64_t count,
                                  std::int64_t column, float scale) const {
    auto* to = static_cast<T*>(a.grad_qkv) + (begin + i) * stride() + column * D;
    for (std::int64_t n = 0; n < count; ++n, from += D, to += stride()) {
      const auto at = a.positions[begin + i + n] * (D / 2);
      float turned[D];
      for (int d = 0; d < D / 2; ++d) {
        const float c = a.cos[at + d] * scale, s = a.sin[at + d] * scale;
        turned[d] = from[d] * c + from[d + D / 2] * s;
        turned[d + D / 2] = from[d + D / 2] * c - from[d] * s;
      }
      for (int d = 0; d < D; d += W) store<W>(to + d, load<W>(turned + d));
    }
  }

  BANYAN_INLINE void load_plain(const T* from, std::int64_t step, std::int64_t count,
                                float* to) const {
    for (std::int64_t n = 0; n < count; ++n, from += step, to += D)
      for (int d = 0; d < D; d += W) store<W>(to + d, load<W>(from + d));
  }

  BANYAN_INLINE void store_plain(const float* from, std::int64_t step, std::int64_t count,
                                 T* to) const {
    for (std::int64_t n = 0; n < count; ++n, to += step, from += D)
      for (int d = 0; d < D; d += W) store<W>(to + d, load<W>(from + d));
  }

  BANYAN_INLINE static void transpose(const float* from, float* to) {
    for (int n = 0; n < tile; ++n)
      for (int d = 0; d < D; ++d) to[d * tile + n] = from[n * D + d];
  }

  /// c = a · b, or c += a · b: `tile` rows of N columns. Element (r, k) of a, [tile, K], lies at
  /// r · Row + k · Column; b is [K, N], c [tile, N].
  template <int N, int K, int Row, int Column, bool Add>
  BANYAN_INLINE static void multiply(const float* a, const float* b, float* c) {
    constexpr int vectors = N / W, group = vectors < 4 ? vectors : 4;
    constexpr int block = sums / group < tile ? sums / group : tile;
    for (int r = 0; r < tile; r += block)
      for (int n = 0; n < vectors; n += group) {
        vec sum[block][group] = {};
        if constexpr (Add)
          for (int i = 0; i < block; ++i)
            for (int j = 0; j < group; ++j) sum[i][j] = load<W>(c + (r + i) * N + (n + j) * W);
        for (int k = 0; k < K; ++k) {
          vec y[group];
          for (int j = 0; j < group; ++j) y[j] = load<W>(b + k * N + (n + j) * W);
          for (int i = 0; i < block; ++i)
            for (int j = 0; j < group; ++j) sum[i][j] += a[(r + i) * Row + k * Column] * y[j];
        }
        for (int i = 0; i < block; ++i)
          for (int j = 0; j < group; ++j) store<W>(c + (r + i) * N + (n + j) * W, sum[i][j]);
      }
  }

  /// A tile of scores for each key: [tile keys, D] · [D, tile queries].
  BANYAN_INLINE static void score(const float* keys, const float* queries, float* to) {
    multiply<tile, D, D, 1, false>(keys, queries, to);
  }
  /// For each query, the keys' rows weighted by the tile's column.
  BANYAN_INLINE static void add_to_queries(const float* weights, const float* of_keys, float* to) {
    multiply<D, tile, 1, tile, true>(weights, of_keys, to);
  }
  /// For each key, the queries' rows weighted by the tile's row.
  BANYAN_INLINE static void add_to_keys(const float* weights, const float* of_queries, float* to) {
    multiply<D, tile, tile, 1, true>(weights, of_queries, to);
  }

  BANYAN_INLINE void load_visibility() const {
    std::copy_n(a.visible_until + begin, length, m.until.begin());
    for (std::int64_t j = 0; j < rows; j += tile) {
      const auto [least, last] =
          std::minmax_element(m.until.begin() + j, m.until.begin() + j + tile);
      m.least[static_cast<std::size_t>(j / tile)] = *least;
      m.last[static_cast<std::size_t>(j / tile)] = *last;
    }
  }

  /// The key tiles of which a query of the tile at `i` sees something.
  template <class Body>
  BANYAN_INLINE void for_key_tiles(std::int64_t i, Body body) const {
    for (std::int64_t j = 0; j <= i; j += tile)
      if (m.last[static_cast<std::size_t>(j / tile)] > i) body(j);
  }

  /// Puts the scores of hidden keys far down.
  BANYAN_INLINE void hide(std::int64_t i, std::int64_t j) const {
    if (j < i && m.least[static_cast<std::size_t>(j / tile)] >= i + tile) return; // none is
    for (int t = 0; t < tile; ++t) {
      const auto key = static_cast<std::int32_t>(j) + t;
      const auto until = m.until[static_cast<std::size_t>(key)];
      ints query;
      for (int w = 0; w < W; ++w) query[w] = static_cast<std::int32_t>(i) + w;
      for (int c = 0; c < Q; ++c, query += W) {
        auto* s = m.s + t * tile + c * W;
        // One comparison after the other: gcc takes their conjunction lane by lane.
        const vec past = query >= key ? load<W>(s) : vec{} + hidden;
        store<W>(s, query < until ? past : vec{} + hidden);
      }
    }
  }

  BANYAN_INLINE void load_queries(std::int64_t i, std::int64_t count, std::int64_t h) const {
    load_turned(i, count, h, 1 / std::sqrt(float(D)), m.q);
    std::fill(m.q + count * D, m.q + tile * D, 0.0f);
    transpose(m.q, m.qt);
    std::fill(m.out, m.out + tile * D, 0.0f);
  }

  /// Softmax as it goes along: what the tiles before gave is scaled down where a score is higher.
  BANYAN_INLINE void forward_tile(std::int64_t i, std::int64_t h) const {
    const auto count = std::min(tile, length - i);
    load_queries(i, count, h);
    vec top[Q], total[Q] = {};
    for (auto& x : top) x = vec{} + hidden;
    for_key_tiles(
        i, [&](std::int64_t j) __attribute__((always_inline)) {
          score(m.k.at(j * D), m.qt, m.s);
          hide(i, j);
          for (int c = 0; c < Q; ++c) {
            auto most = top[c];
            for (int t = 0; t < tile; ++t) {
              const auto s = load<W>(m.s + t * tile + c * W);
              most = s > most ? s : most;
            }
            const auto kept = weight<W>(top[c] - most);
            total[c] *= kept;
            store<W>(m.delta + c * W, kept);
            for (int t = 0; t < tile; ++t) {
              const auto p = weight<W>(load<W>(m.s + t * tile + c * W) - most);
              total[c] += p;
              store<W>(m.s + t * tile + c * W, p);
            }
            top[c] = most;
          }
          scale_rows(m.delta);
          add_to_queries(m.s, m.v.at(j * D), m.out);
        });
    for (int c = 0; c < Q; ++c) {
      store<W>(m.lse + c * W, top[c]);
      store<W>(m.delta + c * W, 1 / total[c]);
    }
    for (int n = 0; n < count; ++n) m.lse[n] -= std::log(m.delta[n]);
    scale_rows(m.delta);
    store_plain(m.out, a.heads * D, count, output(i, h, static_cast<T*>(a.output)));
    std::copy_n(m.lse, count, a.log_sum_exp + h * a.num_tokens + begin + i);
  }

  BANYAN_INLINE void scale_rows(const float* factors) const {
    for (int n = 0; n < tile; ++n)
      for (int d = 0; d < D; d += W)
        store<W>(m.out + n * D + d, load<W>(m.out + n * D + d) * factors[n]);
  }

  /// Where token `i` of a head lies in the output and in its gradient.
  template <class Pointer>
  BANYAN_INLINE Pointer output(std::int64_t i, std::int64_t h, Pointer base) const {
    return base + ((begin + i) * a.heads + h) * D;
  }

  BANYAN_INLINE void load_gradient(std::int64_t i, std::int64_t count, std::int64_t h) const {
    load_plain(output(i, h, static_cast<const T*>(a.grad_output)), a.heads * D, count, m.go);
    std::fill(m.go + count * D, m.go + tile * D, 0.0f);
    transpose(m.go, m.got);
    std::fill(m.lse, m.lse + tile, 0.0f);
    std::copy_n(a.log_sum_exp + h * a.num_tokens + begin + i, count, m.lse);
    std::fill(m.delta, m.delta + tile, 0.0f);
    const auto* out = output(i, h, static_cast<const T*>(a.output));
    for (int n = 0; n < count; ++n, out += a.heads * D) {
      vec dot = {};
      for (int d = 0; d < D; d += W) dot += load<W>(out + d) * load<W>(m.go + n * D + d);
      m.delta[n] = sum<W>(dot);
    }
  }

  BANYAN_INLINE void backward_tile(std::int64_t i, std::int64_t h) const {
    const auto count = std::min(tile, length - i);
    load_queries(i, count, h);
    load_gradient(i, count, h);
    for_key_tiles(
        i, [&](std::int64_t j) __attribute__((always_inline)) {
          score(m.k.at(j * D), m.qt, m.s);
          hide(i, j);
          score(m.v.at(j * D), m.got, m.g);
          for (int c = 0; c < Q; ++c) {
            const auto lse = load<W>(m.lse + c * W), delta = load<W>(m.delta + c * W);
            for (int t = 0; t < tile; ++t) {
              auto* s = m.s + t * tile + c * W;
              auto* g = m.g + t * tile + c * W;
              const auto p = weight<W>(load<W>(s) - lse);
              store<W>(s, p);
              store<W>(g, p * (load<W>(g) - delta));
            }
          }
          add_to_queries(m.g, m.k.at(j * D), m.out);
          add_to_keys(m.g, m.q, m.gk.at(j * D));
          add_to_keys(m.s, m.go, m.gv.at(j * D));
        });
    store_turned(m.out, i, count, h, 1 / std::sqrt(float(D)));
  }

  /// Every query head of a key head, tile by tile.
  template <bool Backward>
  BANYAN_INLINE void run(std::int64_t kv) const {
    const auto values = begin * stride() + (a.heads + a.kv_heads + kv) * D;
    load_visibility();
    load_turned(0, length, a.heads + kv, 1, m.k.at(0));
    load_plain(static_cast<const T*>(a.qkv) + values, stride(), length, m.v.at(0));
    const auto group = a.heads / a.kv_heads;
    for (auto h = kv * group; h < (kv + 1) * group; ++h)
      for (std::int64_t i = 0; i < length; i += tile)
        if constexpr (Backward)
          backward_tile(i, h);
        else
          forward_tile(i, h);
    if constexpr (Backward) {
      store_turned(m.gk.at(0), 0, length, a.heads + kv, 1);
      store_plain(m.gv.at(0), stride(), length, static_cast<T*>(a.grad_qkv) + values);
    }
  }
};

template <int D, class T, bool Backward>
struct sequence_kernel {
  /// Item `sequence · kv_heads + kv head`.
  template <int W>
  BANYAN_INLINE static void run(const tree_attention_args& a, std::int64_t item,
                                head_memory<D>* memory) {
    const auto sequence = item / a.kv_heads;
    const std::int64_t begin = a.starts[sequence], length = a.starts[sequence + 1] - begin;
    const auto rows = (length + tile - 1) / tile * tile;
    memory->resize(rows, Backward);
    head_kernel<W, D, T>{a, begin, length, rows, *memory}.template run<Backward>(item % a.kv_heads);
  }
};

/// Every item of a batch, those of the longest sequences first: what is left for the end is short.
std::vector<std::int64_t> longest_first(const tree_attention_args& a) {
  std::vector<std::int64_t> items(static_cast<std::size_t>(a.num_sequences * a.kv_heads));
  std::iota(items.begin(), items.end(), 0);
  std::ranges::stable_sort(items, std::ranges::greater(), [&a](std::int64_t item) {
    const auto sequence = item / a.kv_heads;
    return a.starts[sequence + 1] - a.starts[sequence];
  });
  return items;
}

/// Whoever is free takes the next item; each writes what no other one reads or writes, so the
/// result does not depend on who does what.
template <int D, class T, bool Backward>
void run_all(const tree_attention_args& a) {
  const auto items = longest_first(a);
  std::atomic<std::size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t, std::int64_t) {
    thread_local head_memory<D> memory;
    for (auto i = next++; i < items.size(); i = next++)
      run_widest<sequence_kernel<D, T, Backward>>(a, items[i], &memory);
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
