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

constexpr int tile_tokens = 16; // keys that are read, scored and added up at a time
constexpr int max_rows = 32;    // query tokens that share the keys they read

/// What one OS thread works on at a time: some tokens of one sequence and some of the heads.
struct work_item {
  std::int32_t sequence, first_row, num_rows, first_kv_head, num_kv_heads;
};

/// Rows of the cache for the next tokens of a sequence, for head 0.
template <class T>
struct key_tile {
  const T* keys[tile_tokens];
  const T* values[tile_tokens];
};

/// Softmax over the keys seen so far, for one head of one token.
struct softmax_state {
  float largest, total;
};

struct scratch {
  std::vector<float> queries, sums;  // [rows, heads, head_dim]
  std::vector<softmax_state> states; // [rows, heads]
};

scratch& local_scratch() {
  thread_local scratch s;
  return s;
}

/// scores[j] = q · keys[j]
template <int W, class T>
BANYAN_INLINE void score(const float* q, const T* const* keys, std::int64_t offset,
                         std::int64_t head_dim, float* scores) {
  for (int first = 0; first < tile_tokens; first += W) {
    lanes<W> products[W] = {};
    std::int64_t d = 0;
    for (; d + W <= head_dim; d += W) {
      const auto x = load<W>(q + d);
#pragma GCC unroll 16
      for (int j = 0; j < W; ++j) products[j] += x * load<W>(keys[first + j] + offset + d);
    }
    if (d < head_dim) {
      const auto x = load_first<W>(q + d, head_dim - d);
      for (int j = 0; j < W; ++j)
        products[j] += x * load_first<W>(keys[first + j] + offset + d, head_dim - d);
    }
    sum_each<W>(products);
    store<W>(scores + first, products[0]);
  }
}

/// sums = sums · keep + Σ weights[j] · values[j]
template <int W, class T>
BANYAN_INLINE void accumulate(float keep, const float* weights, const T* const* values,
                              std::int64_t offset, std::int64_t head_dim, float* sums) {
  std::int64_t d = 0;
  for (; d + W <= head_dim; d += W) {
    lanes<W> even = load<W>(sums + d) * keep, odd = {}; // two chains, for the latency of additions
#pragma GCC unroll 16
    for (int j = 0; j < tile_tokens; j += 2) {
      even += weights[j] * load<W>(values[j] + offset + d);
      odd += weights[j + 1] * load<W>(values[j + 1] + offset + d);
    }
    store<W>(sums + d, even + odd);
  }
  for (; d < head_dim; ++d) {
    sums[d] *= keep;
    for (int j = 0; j < tile_tokens; ++j) sums[d] += weights[j] * to_float(values[j][offset + d]);
  }
}

/// Adds a tile to the softmax of one head of one token (Milakov & Gimelshein 2018).
template <int W, class T>
BANYAN_INLINE void attend_tile(const key_tile<T>& tile, int visible, std::int64_t offset,
                               std::int64_t head_dim, const float* query, softmax_state& state,
                               float* sums) {
  alignas(64) float weights[tile_tokens];
  score<W>(query, tile.keys, offset, head_dim, weights);
  for (int j = visible; j < tile_tokens; ++j) weights[j] = -std::numeric_limits<float>::infinity();
  auto top = load<W>(weights);
  for (int j = W; j < tile_tokens; j += W) {
    const auto other = load<W>(weights + j);
    top = other > top ? other : top;
  }
  float keep = 1;
  if (const auto largest_here = largest<W>(top); largest_here > state.largest) {
    keep = exponential<1>(lanes<1>{state.largest - largest_here})[0];
    state.largest = largest_here;
  }
  lanes<W> total = {};
  for (int j = 0; j < tile_tokens; j += W) {
    const auto w = exponential<W>(load<W>(weights + j) - state.largest);
    store<W>(weights + j, w);
    total += w;
  }
  state.total = state.total * keep + sum<W>(total);
  accumulate<W>(keep, weights, tile.values, offset, head_dim, sums);
}

/// Points at the keys and values of the tokens from `first` on. Past the end the first one stands
/// in: its weight will be 0, but it must be a number.
template <class T>
BANYAN_INLINE void find_tile(const paged_attention_args& a, const std::int32_t* table,
                             std::int32_t first, std::int32_t end, key_tile<T>& tile) {
  const auto row = std::int64_t{a.kv_heads} * a.head_dim;
  auto block = table + first / a.block_size;
  auto offset = first % a.block_size;
  for (int j = 0; j < tile_tokens; ++j) {
    if (first + j >= end) {
      tile.keys[j] = tile.keys[0];
      tile.values[j] = tile.values[0];
      continue;
    }
    const auto slot = (std::int64_t{*block} * a.block_size + offset) * row;
    tile.keys[j] = static_cast<const T*>(a.keys) + slot;
    tile.values[j] = static_cast<const T*>(a.values) + slot;
    if (++offset == a.block_size) {
      offset = 0;
      ++block;
    }
  }
}

template <class T>
struct attention_kernel {
  /// Computes one item; every key that it needs is read once.
  template <int W>
  BANYAN_INLINE static void run(const paged_attention_args& a, const work_item& item) {
    auto& s = local_scratch();
    begin<W>(a, item, s);
    const auto group = a.heads / a.kv_heads;
    const auto heads = item.num_kv_heads * group;
    const auto positions = a.positions + item.first_row;
    const auto end = *std::max_element(positions, positions + item.num_rows) + 1;
    const auto table = a.blocks + a.block_starts[item.sequence];
    key_tile<T> tile;
    for (std::int32_t first = 0; first < end; first += tile_tokens) {
      find_tile(a, table, first, end, tile);
      for (int h = 0; h < heads; ++h) {
        const auto offset = std::int64_t{item.first_kv_head + h / group} * a.head_dim;
        for (int row = 0; row < item.num_rows; ++row) {
          const auto visible = std::min(positions[row] - first + 1, tile_tokens);
          if (visible <= 0) continue;
          const auto state = std::size_t(row) * heads + h;
          attend_tile<W>(tile, visible, offset, a.head_dim, s.queries.data() + state * a.head_dim,
                         s.states[state], s.sums.data() + state * a.head_dim);
        }
      }
    }
    finish<W>(a, item, s);
  }

private:
  template <int W>
  BANYAN_INLINE static void begin(const paged_attention_args& a, const work_item& item,
                                  scratch& s) {
    const auto count = item.num_kv_heads * (a.heads / a.kv_heads) * std::int64_t{a.head_dim};
    s.queries.resize(std::size_t(item.num_rows * count));
    s.sums.assign(s.queries.size(), 0);
    s.states.assign(s.queries.size() / std::size_t(a.head_dim),
                    {-std::numeric_limits<float>::infinity(), 0});
    auto scaled = s.queries.data();
    for (int row = 0; row < item.num_rows; ++row, scaled += count) {
      const auto query = static_cast<const T*>(a.query) + (item.first_row + row) * a.query_stride
                         + first_element(a, item);
      for (std::int64_t i = 0; i < count; ++i) scaled[i] = to_float(query[i]) * a.scale;
    }
  }

  template <int W>
  BANYAN_INLINE static void finish(const paged_attention_args& a, const work_item& item,
                                   const scratch& s) {
    const auto heads = item.num_kv_heads * (a.heads / a.kv_heads);
    const auto width = std::int64_t{a.heads} * a.head_dim;
    auto sums = s.sums.data();
    auto state = s.states.data();
    for (int row = 0; row < item.num_rows; ++row) {
      auto out =
          static_cast<T*>(a.output) + (item.first_row + row) * width + first_element(a, item);
      for (int h = 0; h < heads; ++h, ++state, sums += a.head_dim, out += a.head_dim) {
        const auto scale = 1 / state->total;
        std::int64_t d = 0;
        for (; d + W <= a.head_dim; d += W) store<W>(out + d, load<W>(sums + d) * scale);
        if (d < a.head_dim)
          store_first<W>(out + d, load_first<W>(sums + d, a.head_dim - d) * scale, a.head_dim - d);
      }
    }
  }

  /// Where the heads of an item begin in a row of queries or of the output.
  static std::int64_t first_element(const paged_attention_args& a, const work_item& item) {
    return std::int64_t{item.first_kv_head} * (a.heads / a.kv_heads) * a.head_dim;
  }
};

/// Cuts a step into items: tokens of one sequence together, all heads of a token together as long
/// as that leaves enough items for every OS thread.
const std::vector<work_item>& plan(const paged_attention_args& a, int os_threads) {
  thread_local std::vector<work_item> items;
  items.clear();
  const bool split_heads = a.num_sequences < 2 * os_threads;
  const auto heads = split_heads ? 1 : a.kv_heads;
  for (std::int32_t i = 0; i < a.num_sequences; ++i)
    for (auto row = a.starts[i]; row < a.starts[i + 1]; row += max_rows)
      for (std::int32_t head = 0; head < a.kv_heads; head += heads)
        items.push_back({i, row, std::min(max_rows, a.starts[i + 1] - row), head, heads});
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

void paged_attention_cpu(const paged_attention_args& a) {
  constexpr std::int64_t worth_waking_threads = 100'000; // some 10 µs of work
  const int os_threads = work(a) < worth_waking_threads ? 1 : at::get_num_threads();
  const auto& items = plan(a, os_threads);
  std::atomic<std::size_t> next = 0; // sequences differ in length: whoever is free takes the next
  at::parallel_for(0, os_threads, 1, [&](std::int64_t, std::int64_t) {
    for (auto i = next++; i < items.size(); i = next++) run(a, items[i]);
  });
}

#ifndef BANYAN_HAS_CUDA

bool has_cuda_kernels() { return false; }

void paged_attention_cuda(const paged_attention_args&, void*) {
  throw std::runtime_error("this build has no CUDA kernels; build where nvcc is found");
}

#endif

} // namespace banyan
