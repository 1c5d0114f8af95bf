#pragma once

#include "model/where.hpp"

#include <cstdint>

namespace banyan {

struct bfloat16; // model/lanes.hpp

// What lies between the matrix products of a decode step, and of training's gate: as loops over
// memory for the CPU, and as kernels for CUDA devices. `T` is the type of the weights, float or
// bfloat16; the residual stream is always float.
//
// On CUDA, tokens that pad a batch have position and slot -1; nothing is read or stored for them
// but their own row.

/// out[i] = weight · x[rows[i]] / √(mean x² + eps), or of x[i] where `rows` is null (RMSNorm).
template <class T>
struct rms_norm_args {
  const float* x;           ///< [any, width]
  const std::int32_t* rows; ///< [count] or null
  const T* weight;          ///< [width]
  T* out;                   ///< [count, width]
  std::int64_t count, width;
  float eps;
};
template <class T>
void rms_norm(const rms_norm_args<T>&, on_cpu);
template <class T>
void rms_norm(const rms_norm_args<T>&, on_stream);

/// Turns queries (in place) and keys by their position and puts keys and values into the cache.
template <class T>
struct rotate_and_store_args {
  T* qkv;                        ///< [tokens, heads + 2 · kv_heads, head_dim]
  const std::int32_t* positions; ///< [tokens]
  const std::int32_t* slots;     ///< [tokens]
  const float *cos, *sin;        ///< [positions, head_dim / 2]
  T *keys, *values;              ///< [slots, kv_heads, head_dim]
  std::int64_t tokens, heads, kv_heads, head_dim;
};
template <class T>
void rotate_and_store(const rotate_and_store_args<T>&, on_cpu);
template <class T>
void rotate_and_store(const rotate_and_store_args<T>&, on_stream);

/// out = silu(gate) · up; gate_up: [count, 2 · width], out: [count, width]
template <class T>
void gate(const T* gate_up, T* out, std::int64_t count, std::int64_t width, on_cpu);
template <class T>
void gate(const T* gate_up, T* out, std::int64_t count, std::int64_t width, on_stream);

/// Its gradient by gate_up, from that by out; `gradient`: [count, width], to: [count, 2 · width]
template <class T>
void gate_backward(const T* gate_up, const T* gradient, T* to, std::int64_t count,
                   std::int64_t width);

/// out[i] = table[ids[i]]; table: [vocab, width], out: [count, width]
template <class T>
void embed(const T* table, const std::int32_t* ids, float* out, std::int64_t count,
           std::int64_t width, on_cpu);
template <class T>
void embed(const T* table, const std::int32_t* ids, float* out, std::int64_t count,
           std::int64_t width, on_stream);

} // namespace banyan
