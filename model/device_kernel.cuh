#pragma once

#include "model/device_cuda.hpp"

#include <stdexcept>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace banyan {

struct bfloat16; // model/lanes.hpp; the same bits as __nv_bfloat16

// What our CUDA kernels share.

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xffffffff;

/// How the device knows a type of the weights.
template <class T>
struct on_device {
  using type = T;
};
template <>
struct on_device<bfloat16> {
  using type = __nv_bfloat16;
};
template <class T>
using on_device_t = typename on_device<T>::type;

inline __device__ float to_float(float x) { return x; }
inline __device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
inline __device__ void store(float* p, float x) { *p = x; }
inline __device__ void store(__nv_bfloat16* p, float x) { *p = __float2bfloat16(x); }

inline __device__ float warp_sum(float x) {
  for (int step = warp_size / 2; step > 0; step /= 2) x += __shfl_xor_sync(whole_warp, x, step);
  return x;
}

inline __device__ float warp_max(float x) {
  for (int step = warp_size / 2; step > 0; step /= 2)
    x = fmaxf(x, __shfl_xor_sync(whole_warp, x, step));
  return x;
}

/// Throws if the last launch failed.
inline void check_launch(const char* kernel) {
  if (const auto result = cudaGetLastError(); result != cudaSuccess)
    throw_cuda_error(kernel, result);
}

} // namespace banyan
