#include "model/elementwise.hpp"

#include "model/device_kernel.cuh"

namespace banyan {

namespace {

constexpr int block_threads = 128; // of a token's row
constexpr int num_warps = block_threads / warp_size;

template <class T>
__global__ void embed_rows(const T* table, const std::int32_t* ids, float* out,
                           std::int64_t width) {
  const auto from = table + ids[blockIdx.x] * width;
  const auto to = out + blockIdx.x * width;
  for (auto i = threadIdx.x; i < width; i += block_threads) to[i] = to_float(from[i]);
}

template <class T>
struct norm_rows {
  const float* x;
  const std::int32_t* rows;
  const T* weight;
  T* out;
  std::int64_t width;
  float eps;
};

template <class T>
__global__ void __launch_bounds__(block_threads) normalise(norm_rows<T> a) {
  __shared__ float sums[num_warps];
  const auto row = a.rows ? a.rows[blockIdx.x] : static_cast<std::int64_t>(blockIdx.x);
  const auto x = a.x + row * a.width;
  const auto out = a.out + blockIdx.x * a.width;
  float squares = 0;
  for (auto i = threadIdx.x; i < a.width; i += block_threads) squares += x[i] * x[i];
  squares = warp_sum(squares);
  if (threadIdx.x % warp_size == 0) sums[threadIdx.x / warp_size] = squares;
  __syncthreads();
  float total = 0;
  for (const float sum : sums) total += sum;
  const float scale = rsqrtf(total / static_cast<float>(a.width) + a.eps);
  for (auto i = threadIdx.x; i < a.width; i += block_threads)
    store(out + i, x[i] * scale * to_float(a.weight[i]));
}

template <class T>
struct token_rows {
  T* qkv;
  const std::int32_t *positions, *slots;
  const float *cos, *sin;
  T *keys, *values;
  int heads, kv_heads, head_dim;
};

template <class T>
__global__ void __launch_bounds__(block_threads) rotate_token(token_rows<T> a) {
  const auto position = a.positions[blockIdx.x];
  if (position < 0) return; // padding
  const int half = a.head_dim / 2, turned = a.heads + a.kv_heads;
  const auto row = a.qkv + blockIdx.x * std::int64_t{turned + a.kv_heads} * a.head_dim;
  const auto cos = a.cos + std::int64_t{position} * half,
             sin = a.sin + std::int64_t{position} * half;
  const auto slot = std::int64_t{a.slots[blockIdx.x]} * a.kv_heads * a.head_dim;
  for (int i = threadIdx.x; i < turned * half; i += block_threads) {
    const int head = i / half, d = i % half;
    const auto from = row + head * a.head_dim + d;
    const float low = to_float(from[0]), high = to_float(from[half]);
    const auto to = head < a.heads ? from : a.keys + slot + (head - a.heads) * a.head_dim + d;
    store(to, low * cos[d] - high * sin[d]);
    store(to + half, high * cos[d] + low * sin[d]);
  }
  for (int i = threadIdx.x; i < a.kv_heads * a.head_dim; i += block_threads)
    a.values[slot + i] = row[turned * a.head_dim + i];
}

template <class T>
__global__ void gate_rows(const T* gate_up, T* out, std::int64_t width) {
  const auto from = gate_up + blockIdx.x * 2 * width;
  const auto to = out + blockIdx.x * width;
  for (auto i = threadIdx.x; i < width; i += block_threads) {
    const float x = to_float(from[i]);
    store(to + i, x / (1 + expf(-x)) * to_float(from[width + i]));
  }
}

/// One block per row.
template <class Kernel, class... Args>
void launch(const char* name, Kernel kernel, std::int64_t rows, on_stream stream, Args... args) {
  if (rows == 0) return;
  kernel<<<static_cast<unsigned>(rows), block_threads, 0,
           static_cast<cudaStream_t>(stream.handle)>>>(args...);
  check_launch(name);
}

template <class T>
auto cast(T* p) {
  return reinterpret_cast<on_device_t<T>*>(p);
}
template <class T>
auto cast(const T* p) {
  return reinterpret_cast<const on_device_t<T>*>(p);
}

} // namespace

template <class T>
void embed(const T* table, const std::int32_t* ids, float* out, std::int64_t count,
           std::int64_t width, on_stream stream) {
  launch("embedding", embed_rows<on_device_t<T>>, count, stream, cast(table), ids, out, width);
}

template <class T>
void rms_norm(const rms_norm_args<T>& a, on_stream stream) {
  using E = on_device_t<T>;
  launch("RMSNorm", normalise<E>, a.count, stream,
         norm_rows<E>{a.x, a.rows, cast(a.weight), cast(a.out), a.width, a.eps});
}

template <class T>
void rotate_and_store(const rotate_and_store_args<T>& a, on_stream stream) {
  using E = on_device_t<T>;
  launch("rotary embedding", rotate_token<E>, a.tokens, stream,
         token_rows<E>{cast(a.qkv), a.positions, a.slots, a.cos, a.sin, cast(a.keys),
                       cast(a.values), static_cast<int>(a.heads), static_cast<int>(a.kv_heads),
                       static_cast<int>(a.head_dim)});
}

template <class T>
void gate(const T* gate_up, T* out, std::int64_t count, std::int64_t width, on_stream stream) {
  launch("gate", gate_rows<on_device_t<T>>, count, stream, cast(gate_up), cast(out), width);
}

#define BANYAN_INSTANTIATE(T)                                                                      \
  template void rms_norm(const rms_norm_args<T>&, on_stream);                                      \
  template void rotate_and_store(const rotate_and_store_args<T>&, on_stream);                      \
  template void gate(const T*, T*, std::int64_t, std::int64_t, on_stream);                         \
  template void embed(const T*, const std::int32_t*, float*, std::int64_t, std::int64_t, on_stream);
BANYAN_INSTANTIATE(float)
BANYAN_INSTANTIATE(bfloat16)
#undef BANYAN_INSTANTIATE

} // namespace banyan
