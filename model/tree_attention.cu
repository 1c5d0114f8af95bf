#include "model/tree_attention.cuh"

namespace banyan {

namespace {

__global__ void __launch_bounds__(block_threads)
    turn(const __grid_constant__ tree_attention_cuda_args a) {
  const places at{a};
  const std::int64_t token = blockIdx.x;
  const int half = a.head_dim / 2, count = (a.heads + a.kv_heads) * half;
  const auto from = static_cast<const __nv_bfloat16*>(a.qkv) + token * at.qkv_stride();
  const auto to = static_cast<__nv_bfloat16*>(a.turned) + token * at.turned_stride();
  const auto row = std::int64_t{a.positions[token]} * half;
  for (int i = threadIdx.x; i < count; i += block_threads) {
    const int d = i % half, column = i / half * a.head_dim + d;
    const float x = to_float(from[column]), y = to_float(from[column + half]);
    const float c = a.cos[row + d], s = a.sin[row + d];
    store(to + column, x * c - y * s);
    store(to + column + half, y * c + x * s);
  }
}

template <int D>
__global__ void __launch_bounds__(block_threads)
    attend(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> keys, values;
  const places at{a};
  const auto [mine, lane, g, t, warp_row, upper, lower, first_token] = lane_rows(a);
  const int head = blockIdx.y, kv = head / (a.heads / a.kv_heads);

  keys.load(at.query(first_token, head), at.turned_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> query;
  query.load(keys, warp_row, g, t);

  head_sums<D> sums;
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {};
  for (int j = mine.first_tile; j <= static_cast<int>(blockIdx.x); ++j) {
    const auto other = a.tiles[j];
    if (!meets(mine, other)) continue;
    __syncthreads();
    keys.load(at.key(other.begin + other.first, kv), at.turned_stride(), rows_of(other));
    values.load(at.value(other.begin + other.first, kv), at.qkv_stride(), rows_of(other));
    __syncthreads();

    sum16x8 scores[columns];
#pragma unroll
    for (int n = 0; n < columns; ++n) scores[n] = query.times(keys, n * 8, g, t);
    if (!sees_all(mine, other)) {
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = other.first + n * 8 + 2 * t + i % 2, who = i < 2 ? upper : lower;
          const bool seen =
              key <= who && key < other.length && a.visible_until[other.begin + key] > who;
          if (!seen) scores[n].x[i] = -INFINITY;
        }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = top[r];
#pragma unroll
      for (int n = 0; n < columns; ++n)
        most = fmaxf(most, fmaxf(scores[n].x[2 * r], scores[n].x[2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(whole_warp, most, 1));
      most = fmaxf(most, __shfl_xor_sync(whole_warp, most, 2));
      const float base = most == -INFINITY ? 0 : most; // nothing seen yet
      const float kept = exp2f((top[r] - base) * scale);
      top[r] = most;
      total[r] *= kept;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        sums.of[n].x[2 * r] *= kept;
        sums.of[n].x[2 * r + 1] *= kept;
      }
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int i = 2 * r; i < 2 * r + 2; ++i) {
          scores[n].x[i] = exp2f((scores[n].x[i] - base) * scale);
          total[r] += scores[n].x[i];
        }
    }
    sums.add(scores, values, lane);
  }

#pragma unroll
  for (float& x : total) {
    x += __shfl_xor_sync(whole_warp, x, 1);
    x += __shfl_xor_sync(whole_warp, x, 2);
  }
  const int rows_left = mine.length - mine.first - warp_row;
  sums.store(at.output(first_token + warp_row, head), at.out_stride(), rows_left, 1 / total[0],
             1 / total[1], g, t);
  if (t != 0) return;
  const auto lse = a.log_sum_exp + std::int64_t{head} * a.num_tokens + first_token + warp_row;
  if (g < rows_left) lse[g] = top[0] * scale / log2e + logf(total[0]);
  if (g + 8 < rows_left) lse[g + 8] = top[1] * scale / log2e + logf(total[1]);
}

template <int D>
void forward(const tree_attention_cuda_args& a, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(a.num_tiles), static_cast<unsigned>(a.heads));
  attend<D><<<grid, block_threads, 0, stream>>>(a, scale_of(D));
  check_launch("tree attention");
}

} // namespace

bool tree_attention_cuda_fits(std::int64_t head_dim) {
  return with_head_dim(head_dim, [](auto) {});
}

void tree_attention_forward_cuda(const tree_attention_cuda_args& a, void* stream) {
  if (a.num_tiles == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  turn<<<static_cast<unsigned>(a.num_tokens), block_threads, 0, on>>>(a);
  check_launch("rotary embedding");
  if (!with_head_dim(a.head_dim, [&](auto d) { forward<d>(a, on); }))
    throw std::invalid_argument("tree attention: a head_dim that does not fit");
}

} // namespace banyan
