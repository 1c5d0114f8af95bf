#include "model/tree_attention.cuh"

namespace banyan {

namespace {

/// delta = output · its gradient; a warp for each token and head.
__global__ void __launch_bounds__(block_threads)
    dot_gradients(const __grid_constant__ tree_attention_cuda_args a) {
  const places at{a};
  const auto item = std::int64_t{blockIdx.x} * num_warps + threadIdx.x / warp_size;
  if (item >= std::int64_t{a.num_tokens} * a.heads) return;
  const auto token = item / a.heads;
  const int head = static_cast<int>(item % a.heads), lane = threadIdx.x % warp_size;
  const auto out = at.output(token, head);
  const auto gradient = at.grad_output(token, head);
  float sum = 0;
  for (int d = lane; d < a.head_dim; d += warp_size)
    sum += to_float(out[d]) * to_float(gradient[d]);
  sum = warp_sum(sum);
  if (lane == 0) a.delta[head * std::int64_t{a.num_tokens} + token] = sum;
}

/// What a query's softmax was, and what its output's gradient makes of it.
struct query_row {
  float lse, delta; // the first one in powers of two

  __device__ void load(const tree_attention_cuda_args& a, int head, std::int64_t token,
                       bool there) {
    const auto i = std::int64_t{head} * a.num_tokens + token;
    lse = there ? a.log_sum_exp[i] * log2e : INFINITY; // beyond the sequence: probability 0
    delta = there ? a.delta[i] : 0;
  }
  __device__ float probability(float score, float scale) const {
    return exp2f(score * scale - lse);
  }
};

template <int D>
__global__ void __launch_bounds__(block_threads)
    query_gradients(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> keys, values;
  const places at{a};
  const auto [mine, lane, g, t, warp_row, upper, lower, first_token] = lane_rows(a);
  const int head = blockIdx.y, kv = head / (a.heads / a.kv_heads);

  keys.load(at.query(first_token, head), at.turned_stride(), rows_of(mine));
  values.load(at.grad_output(first_token, head), at.out_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> query, gradient;
  query.load(keys, warp_row, g, t);
  gradient.load(values, warp_row, g, t);
  query_row rows[2];
  rows[0].load(a, head, mine.begin + upper, upper < mine.length);
  rows[1].load(a, head, mine.begin + lower, lower < mine.length);

  head_sums<D> sums;
  for (int j = mine.first_tile; j <= static_cast<int>(blockIdx.x); ++j) {
    const auto other = a.tiles[j];
    if (!meets(mine, other)) continue;
    __syncthreads();
    keys.load(at.key(other.begin + other.first, kv), at.turned_stride(), rows_of(other));
    values.load(at.value(other.begin + other.first, kv), at.qkv_stride(), rows_of(other));
    __syncthreads();

    const bool all = sees_all(mine, other);
    sum16x8 slopes[columns];
#pragma unroll
    for (int n = 0; n < columns; ++n) {
      const auto scores = query.times(keys, n * 8, g, t);
      slopes[n] = gradient.times(values, n * 8, g, t);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = other.first + n * 8 + 2 * t + i % 2, who = i < 2 ? upper : lower;
        const bool seen =
            all || (key <= who && key < other.length && a.visible_until[other.begin + key] > who);
        const auto& row = rows[i / 2];
        slopes[n].x[i] =
            seen ? row.probability(scores.x[i], scale) * (slopes[n].x[i] - row.delta) : 0;
      }
    }
    sums.add(slopes, keys, lane);
  }

  const int last = mine.length - 1;
  sums.turn_back(a.cos, a.sin, a.positions[mine.begin + min(upper, last)],
                 a.positions[mine.begin + min(lower, last)], t);
  const float factor = scale / log2e;
  sums.store(at.gradient(first_token + warp_row, head), at.qkv_stride(),
             mine.length - mine.first - warp_row, factor, factor, g, t);
}

template <int D>
__global__ void __launch_bounds__(block_threads)
    key_gradients(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> queries, gradients;
  __shared__ query_row rows[tile];
  const places at{a};
  const auto [mine, lane, g, t, warp_row, upper, lower, first_token] = lane_rows(a);
  const int kv = blockIdx.y, group = a.heads / a.kv_heads;

  queries.load(at.key(first_token, kv), at.turned_stride(), rows_of(mine));
  gradients.load(at.value(first_token, kv), at.qkv_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> key, value;
  key.load(queries, warp_row, g, t);
  value.load(gradients, warp_row, g, t);
  const int until[2] = {upper < mine.length ? a.visible_until[mine.begin + upper] : 0,
                        lower < mine.length ? a.visible_until[mine.begin + lower] : 0};

  head_sums<D> of_keys, of_values;
  const int end = mine.first_tile + mine.num_tiles;
  for (int j = blockIdx.x; j < end; ++j) {
    const auto other = a.tiles[j];
    if (!meets(other, mine)) break; // nor does what comes later
    const bool all = sees_all(other, mine);
    for (int head = kv * group; head < (kv + 1) * group; ++head) {
      __syncthreads();
      const std::int64_t other_token = other.begin + other.first;
      queries.load(at.query(other_token, head), at.turned_stride(), rows_of(other));
      gradients.load(at.grad_output(other_token, head), at.out_stride(), rows_of(other));
      for (int i = threadIdx.x; i < tile; i += block_threads)
        rows[i].load(a, head, other_token + i, i < rows_of(other));
      __syncthreads();

      sum16x8 weights[columns], slopes[columns];
#pragma unroll
      for (int n = 0; n < columns; ++n) {
        weights[n] = key.times(queries, n * 8, g, t);
        slopes[n] = value.times(gradients, n * 8, g, t);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int column = n * 8 + 2 * t + i % 2, who = other.first + column;
          const bool seen = all || ((i < 2 ? upper : lower) <= who && who < until[i / 2]);
          const auto row = rows[column];
          weights[n].x[i] = seen ? row.probability(weights[n].x[i], scale) : 0;
          slopes[n].x[i] = weights[n].x[i] * (slopes[n].x[i] - row.delta);
        }
      }
      of_values.add(weights, gradients, lane);
      of_keys.add(slopes, queries, lane);
    }
  }

  const int last = mine.length - 1;
  of_keys.turn_back(a.cos, a.sin, a.positions[mine.begin + min(upper, last)],
                    a.positions[mine.begin + min(lower, last)], t);
  const float factor = scale / log2e;
  const int rows_left = mine.length - mine.first - warp_row;
  of_keys.store(at.gradient(first_token + warp_row, a.heads + kv), at.qkv_stride(), rows_left,
                factor, factor, g, t);
  of_values.store(at.gradient(first_token + warp_row, a.heads + a.kv_heads + kv), at.qkv_stride(),
                  rows_left, 1, 1, g, t);
}

template <int D>
void backward(const tree_attention_cuda_args& a, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>(a.num_tiles);
  query_gradients<D>
      <<<dim3(tiles, static_cast<unsigned>(a.heads)), block_threads, 0, stream>>>(a, scale_of(D));
  check_launch("gradient of tree attention");
  key_gradients<D><<<dim3(tiles, static_cast<unsigned>(a.kv_heads)), block_threads, 0, stream>>>(
      a, scale_of(D));
  check_launch("gradient of tree attention");
}

} // namespace

void tree_attention_backward_cuda(const tree_attention_cuda_args& a, void* stream) {
  if (a.num_tiles == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  const auto items = std::int64_t{a.num_tokens} * a.heads;
  dot_gradients<<<static_cast<unsigned>((items + num_warps - 1) / num_warps), block_threads, 0,
                  on>>>(a);
  check_launch("gradient of tree attention");
  if (!with_head_dim(a.head_dim, [&](auto d) { backward<d>(a, on); }))
    throw std::invalid_argument("tree attention: a head_dim that does not fit");
}

} // namespace banyan
