#include "model/attention.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <stdexcept>
#include <vector>

#include <ATen/Parallel.h>

namespace banyan {

namespace {

constexpr int tile_tokens = 16;                // keys that are scored at a time
constexpr std::int32_t max_rows = 32;          // query tokens that share the keys they read
constexpr std::int32_t max_scores = 64 * 1024; // of an item: what fits a core's own cache

/// What one OS thread works on at a time: some tokens of one sequence and some of the heads.
struct work_item {
  std::int32_t sequence, first_row, num_rows, first_kv_head, num_kv_heads;
};

struct scratch {
  std::vector<float> queries, sums; // [rows, heads, head_dim]
  std::vector<float> weights;       // [rows, heads, padded keys]; scores at first
  std::vector<float> totals;        // [rows, heads]
};

scratch& local_scratch() {
  thread_local scratch s;
  return s;
}

constexpr std::int32_t padded(std::int32_t keys) {
  return (keys + tile_tokens - 1) / tile_tokens * tile_tokens;
}

/// scores[j] = q · keys[j]
template <int W, class T>
BANYAN_INLINE void score(const float* q, const T* const* keys, std::int64_t offset,
                         std::int64_t head_dim, float* scores) {
  for (int first = 0; first < tile_tokens; first += W) {
    lanes<W> products[W];
    const auto x = load<W>(q);
#pragma GCC unroll 16
    for (int j = 0; j < W; ++j) products[j] = x * load<W>(keys[first + j] + offset);
    for (std::int64_t d = W; d < head_dim; d += W) {
      const auto y = load<W>(q + d);
#pragma GCC unroll 16
      for (int j = 0; j < W; ++j) products[j] += y * load<W>(keys[first + j] + offset + d);
    }
    sum_each<W>(products);
    store<W>(scores + first, products[0]);
  }
}

/// Turns the scores of `visible` keys into weights up to a common factor and returns their sum.
/// What pads the last tile gets weight 0.
template <int W>
BANYAN_INLINE float softmax(float* scores, std::int32_t visible) {
  const auto end = padded(visible);
  std::fill(scores + visible, scores + end, -std::numeric_limits<float>::infinity());
  auto top = load<W>(scores);
  for (int j = W; j < end; j += W) {
    const auto x = load<W>(scores + j);
    top = x > top ? x : top;
  }
  const float shift = largest<W>(top);
  lanes<W> total = {};
  for (int j = 0; j < end; j += W) {
    const auto w = exponential<W>(load<W>(scores + j) - shift);
    store<W>(scores + j, w);
    total += w;
  }
  std::fill(scores + visible, scores + end, 0.0f); // was e^-87, too small for the total to feel
  return sum<W>(total);
}

/// sums += Σ weights[j] · values[j], for `Chunks` vectors of them.
template <int W, int Chunks, class T>
BANYAN_INLINE void accumulate_chunks(const float* weights, const T* const* values,
                                     std::int64_t offset, float* sums) {
  lanes<W> even[Chunks], odd[Chunks] = {}; // two chains, for the latency of additions
  for (int c = 0; c < Chunks; ++c) even[c] = load<W>(sums + c * W);
#pragma GCC unroll 16
  for (int j = 0; j < tile_tokens; j += 2)
#pragma GCC unroll 2
    for (int c = 0; c < Chunks; ++c) {
      even[c] += weights[j] * load<W>(values[j] + offset + c * W);
      odd[c] += weights[j + 1] * load<W>(values[j + 1] + offset + c * W);
    }
  for (int c = 0; c < Chunks; ++c) store<W>(sums + c * W, even[c] + odd[c]);
}

template <int W, class T>
BANYAN_INLINE void accumulate(const float* weights, const T* const* values, std::int64_t offset,
                              std::int64_t head_dim, float* sums) {
  std::int64_t d = 0;
  for (; d + 2 * W <= head_dim; d += 2 * W)
    accumulate_chunks<W, 2>(weights, values, offset + d, sums + d);
  if (d < head_dim) accumulate_chunks<W, 1>(weights, values, offset + d, sums + d);
}

/// Computes one item in three passes: scores, softmax, sums. Within a pass no iteration waits for
/// the one before, and every key and value is read from memory once. Lanes are as wide as divides
/// the heads, so there are no remainders.
template <class T>
struct attention_kernel {
  const paged_attention_args& a;
  const work_item& item;
  scratch& s;
  const std::int32_t* positions; // [rows]
  std::int32_t group, heads;     // query heads of a key head, and of the item
  std::int32_t keys;             // that the last of the rows sees
  std::int64_t width; // elements of the item's heads in a row of queries or of the output

  attention_kernel(const paged_attention_args& args, const work_item& i)
      : a(args),
        item(i),
        s(local_scratch()),
        positions(a.positions + i.first_row),
        group(a.heads / a.kv_heads),
        heads(i.num_kv_heads * group),
        keys(*std::max_element(positions, positions + i.num_rows) + 1),
        width(std::int64_t{heads} * a.head_dim) {
    const auto rows = static_cast<std::size_t>(item.num_rows);
    s.queries.resize(rows * static_cast<std::size_t>(width));
    s.sums.assign(s.queries.size(), 0);
    s.totals.resize(rows * static_cast<std::size_t>(heads));
    s.weights.resize(s.totals.size() * static_cast<std::size_t>(padded(keys)));
  }

  template <int W>
  BANYAN_INLINE static void run(const paged_attention_args& args, const work_item& item) {
    constexpr int narrower = W > 4 ? W / 2 : 1;
    if constexpr (W > 1)
      if (args.head_dim % W != 0) return run<narrower>(args, item);
    attention_kernel k(args, item);
    k.scale_queries();
    k.template for_tiles<W, true>(static_cast<const T*>(args.keys));
    k.template weigh<W>();
    k.template for_tiles<W, false>(static_cast<const T*>(args.values));
    k.template finish<W>();
  }

  std::int64_t first_element() const {
    return std::int64_t{item.first_kv_head} * group * a.head_dim;
  }

  BANYAN_INLINE void scale_queries() {
    auto scaled = s.queries.data();
    for (std::int32_t row = 0; row < item.num_rows; ++row, scaled += width) {
      const auto query = static_cast<const T*>(a.query) + (item.first_row + row) * a.query_stride
                         + first_element();
      for (std::int64_t i = 0; i < width; ++i) scaled[i] = to_float(query[i]) * a.scale;
    }
  }

  /// Points at the memory of tokens from `first` on. Past the end the first one stands in: its
  /// weight will be 0, but it must be a number.
  BANYAN_INLINE void find_tile(const T* memory, std::int32_t first, const T** tile) const {
    const auto token_elements = std::int64_t{a.kv_heads} * a.head_dim;
    auto block = a.blocks + a.block_starts[item.sequence] + first / a.block_size;
    auto offset = first % a.block_size;
    for (int j = 0; j < tile_tokens; ++j) {
      if (first + j >= keys) {
        tile[j] = tile[0];
        continue;
      }
      tile[j] = memory + (std::int64_t{*block} * a.block_size + offset) * token_elements;
      if (++offset == a.block_size) {
        offset = 0;
        ++block;
      }
    }
  }

  /// The hardware foresees nothing across blocks, and the cache of a batch is larger than the
  /// caches.
  BANYAN_INLINE void prefetch(const T* const* tile) const {
    const auto begin = item.first_kv_head * a.head_dim;
    const auto end = begin + item.num_kv_heads * a.head_dim;
    for (int j = 0; j < tile_tokens; ++j)
      for (auto i = begin; i < end; i += 64 / int{sizeof(T)}) __builtin_prefetch(tile[j] + i);
  }

  template <int W, bool Scores>
  BANYAN_INLINE void for_tiles(const T* memory) {
    const T* tile[tile_tokens];
    for (std::int32_t first = 0; first < keys; first += tile_tokens) {
      if (const auto soon = first + tile_tokens; soon < keys) {
        find_tile(memory, soon, tile);
        prefetch(tile);
      }
      find_tile(memory, first, tile);
      for (std::int32_t h = 0; h < heads; ++h)
        for (std::int32_t row = 0; row < item.num_rows; ++row)
          if (positions[row] >= first) visit<W, Scores>(tile, row, h, first);
    }
  }

  template <int W, bool Scores>
  BANYAN_INLINE void visit(const T* const* tile, std::int32_t row, std::int32_t h,
                           std::int32_t first) {
    const auto index = std::int64_t{row} * heads + h;
    const auto weights = s.weights.data() + index * padded(keys) + first;
    const auto offset = std::int64_t{item.first_kv_head + h / group} * a.head_dim;
    if constexpr (Scores)
      score<W>(s.queries.data() + index * a.head_dim, tile, offset, a.head_dim, weights);
    else
      accumulate<W>(weights, tile, offset, a.head_dim, s.sums.data() + index * a.head_dim);
  }

  template <int W>
  BANYAN_INLINE void weigh() {
    auto weights = s.weights.data();
    for (std::size_t i = 0; i < s.totals.size(); ++i, weights += padded(keys))
      s.totals[i] = softmax<W>(weights, positions[i / static_cast<std::size_t>(heads)] + 1);
  }

  template <int W>
  BANYAN_INLINE void finish() {
    const auto out_stride = std::int64_t{a.heads} * a.head_dim;
    auto sums = s.sums.data();
    auto total = s.totals.data();
    for (std::int32_t row = 0; row < item.num_rows; ++row) {
      auto out = static_cast<T*>(a.output) + (item.first_row + row) * out_stride + first_element();
      for (int h = 0; h < heads; ++h, ++total, sums += a.head_dim, out += a.head_dim) {
        const auto scale = 1 / *total;
        for (std::int64_t d = 0; d < a.head_dim; d += W)
          store<W>(out + d, load<W>(sums + d) * scale);
      }
    }
  }
};

/// Cuts a step into items: tokens of one sequence together, and all heads of a token together as
/// long as that leaves enough items for every OS thread.
const std::vector<work_item>& plan(const paged_attention_args& a, int os_threads) {
  thread_local std::vector<work_item> items;
  items.clear();
  const auto heads = a.num_sequences < 2 * os_threads ? 1 : a.kv_heads;
  for (std::int32_t i = 0; i < a.num_sequences; ++i) {
    if (a.starts[i] == a.starts[i + 1]) continue;
    const auto last = *std::max_element(a.positions + a.starts[i], a.positions + a.starts[i + 1]);
    const auto scores = heads * (a.heads / a.kv_heads) * (last + 1);
    const auto rows = std::clamp(max_scores / scores, 1, max_rows);
    for (auto row = a.starts[i]; row < a.starts[i + 1]; row += rows)
      for (std::int32_t head = 0; head < a.kv_heads; head += heads)
        items.push_back({i, row, std::min(rows, a.starts[i + 1] - row), head, heads});
  }
  return items;
}

/// Keys read, times the elements of a key.
std::int64_t work(const paged_attention_args& a) {
  std::int64_t keys = 0;
  for (std::int32_t i = 0; i < a.num_tokens; ++i) keys += a.positions[i] + 1;
  return keys * a.heads * a.head_dim;
}

void run(const paged_attention_args& a, const work_item& item) {
  if (a.bfloat16)
    run_widest<attention_kernel<bfloat16>>(a, item);
  else
    run_widest<attention_kernel<float>>(a, item);
}

} // namespace

void paged_attention(const paged_attention_args& a, on_cpu) {
  constexpr std::int64_t worth_waking_threads = 100'000; // some 10 µs of work
  const int os_threads = work(a) < worth_waking_threads ? 1 : at::get_num_threads();
  const auto& items = plan(a, os_threads);
  std::atomic<std::size_t> next = 0; // sequences differ in length: whoever is free takes the next
  at::parallel_for(0, os_threads, 1, [&](std::int64_t, std::int64_t) {
    for (auto i = next++; i < items.size(); i = next++) run(a, items[i]);
  });
}

} // namespace banyan
