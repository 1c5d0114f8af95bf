#include "model/attention.hpp"

#include "model/device_kernel.cuh"

namespace banyan {

namespace {

constexpr int num_warps = 4; // of a block; each takes every fourth group of keys

/// q · k, with loads of 16 bytes where rows are made of such.
template <class T>
__device__ float dot(const float* q, const T* k, int head_dim) {
  constexpr int chunk = 16 / sizeof(T);
  float sum = 0;
  if (head_dim % chunk != 0) {
    for (int d = 0; d < head_dim; ++d) sum += q[d] * to_float(k[d]);
    return sum;
  }
  for (int d = 0; d < head_dim; d += chunk) {
    const uint4 bits = *reinterpret_cast<const uint4*>(k + d);
    const auto values = reinterpret_cast<const T*>(&bits);
#pragma unroll
    for (int i = 0; i < chunk; ++i) sum += q[d + i] * to_float(values[i]);
  }
  return sum;
}

/// Softmax over the keys that a warp has seen, in pieces that can be merged.
struct partial {
  float largest, total;
};

/// The sequence of a token: `starts` rises, so a binary search finds it.
__device__ int sequence_of(const std::int32_t* starts, int num_sequences, int token) {
  int low = 0, high = num_sequences; // starts[low] <= token < starts[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (starts[middle] <= token ? low : high) = middle;
  }
  return low;
}

/// One block per (token, head). A warp scores 32 keys at a time, a key per lane, and then adds up
/// their values, an element of the head per lane; the warps' softmaxes are merged at the end. Lanes
/// hold elements lane, lane + 32, …: `Elements` of them.
template <class T, int Elements>
__global__ void __launch_bounds__(num_warps* warp_size) attend(paged_attention_args a) {
  extern __shared__ float shared[]; // query [head_dim], then of each warp sums [head_dim]
  __shared__ partial partials[num_warps];
  const int token = blockIdx.x, head = blockIdx.y;
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int keys = a.positions[token] + 1;
  const auto table = a.blocks + a.block_starts[sequence_of(a.starts, a.num_sequences, token)];
  const auto row = std::int64_t{a.kv_heads} * a.head_dim;
  const auto offset = std::int64_t{head / (a.heads / a.kv_heads)} * a.head_dim;

  const auto query =
      static_cast<const T*>(a.query) + token * a.query_stride + std::int64_t{head} * a.head_dim;
  for (int d = threadIdx.x; d < a.head_dim; d += blockDim.x)
    shared[d] = to_float(query[d]) * a.scale;
  __syncthreads();

  float sums[Elements] = {};
  partial mine{-INFINITY, 0};
  for (int first = warp * warp_size; first < keys; first += num_warps * warp_size) {
    const int count = min(warp_size, keys - first);
    std::int64_t slot = 0;
    float score = -INFINITY;
    if (lane < count) {
      const int key = first + lane;
      slot = std::int64_t{table[key / a.block_size]} * a.block_size + key % a.block_size;
      const auto k = static_cast<const T*>(a.keys) + slot * row + offset;
      score = dot(shared, k, a.head_dim);
    }
    const float largest = fmaxf(mine.largest, warp_max(score)); // finite: count > 0
    const float keep = expf(mine.largest - largest);
    const float weight = expf(score - largest);
    mine = {largest, mine.total * keep + warp_sum(weight)};
    for (float& sum : sums) sum *= keep;
#pragma unroll 4
    for (int j = 0; j < count; ++j) {
      const float w = __shfl_sync(whole_warp, weight, j);
      const auto v =
          static_cast<const T*>(a.values) + __shfl_sync(whole_warp, slot, j) * row + offset;
#pragma unroll
      for (int e = 0; e < Elements; ++e)
        if (const int d = lane + e * warp_size; d < a.head_dim) sums[e] += w * to_float(v[d]);
    }
  }

  const auto sums_of = [&](int w) { return shared + (1 + w) * a.head_dim; };
#pragma unroll
  for (int e = 0; e < Elements; ++e)
    if (const int d = lane + e * warp_size; d < a.head_dim) sums_of(warp)[d] = sums[e];
  if (lane == 0) partials[warp] = mine;
  __syncthreads();

  float largest = -INFINITY, total = 0;
  for (int w = 0; w < num_warps; ++w) largest = fmaxf(largest, partials[w].largest);
  for (int w = 0; w < num_warps; ++w)
    total += partials[w].total * expf(partials[w].largest - largest);
  const auto out = static_cast<T*>(a.output) + (std::int64_t{token} * a.heads + head) * a.head_dim;
  for (int d = threadIdx.x; d < a.head_dim; d += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < num_warps; ++w) sum += sums_of(w)[d] * expf(partials[w].largest - largest);
    store(out + d, keys > 0 ? sum / total : 0); // 0: padding, which sees no keys
  }
}

template <class T, int Elements>
void launch(const paged_attention_args& a, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(a.num_tokens), static_cast<unsigned>(a.heads));
  const auto shared_bytes = (1 + num_warps) * static_cast<std::size_t>(a.head_dim) * sizeof(float);
  attend<T, Elements><<<grid, num_warps * warp_size, shared_bytes, stream>>>(a);
  check_launch("paged attention");
}

template <class T>
void launch_for_head(const paged_attention_args& a, cudaStream_t stream) {
  if (a.head_dim <= warp_size) return launch<T, 1>(a, stream);
  if (a.head_dim <= 2 * warp_size) return launch<T, 2>(a, stream);
  if (a.head_dim <= 4 * warp_size) return launch<T, 4>(a, stream);
  if (a.head_dim <= 8 * warp_size) return launch<T, 8>(a, stream);
  throw std::runtime_error("paged attention: heads of more than 256 elements are not supported on "
                           "CUDA; use --device cpu");
}

} // namespace

void paged_attention(const paged_attention_args& a, on_stream stream) {
  if (a.num_tokens == 0) return;
  const auto on = static_cast<cudaStream_t>(stream.handle);
  if (a.bfloat16)
    launch_for_head<__nv_bfloat16>(a, on);
  else
    launch_for_head<float>(a, on);
}

} // namespace banyan
