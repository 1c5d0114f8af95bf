#pragma once

#include "model/config.hpp"
#include "model/kv_cache.hpp"
#include "model/transformer.hpp"

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace banyan {

// What a decode step does between its matrix products, for one batch. Two classes with the same
// members do it: `cpu_step` with loops of our own, `aten_step` with ATen operators for every other
// device (and on the CPU in tests, where the two must agree). Private to model/.

/// Cosine and sine of position · theta^(-2i / head_dim).
struct rotary_tables {
  at::Tensor cos, sin; // [max_positions, head_dim / 2] float32
};
rotary_tables make_rotary_tables(const model_config&, const at::Device&);

/// T: float or bfloat16, the type of weights and cache.
template <class T>
class cpu_step {
public:
  cpu_step(const decode_batch&, const model_config&, const rotary_tables&, kv_cache&);

  /// residual: [tokens, d] float32; table: [vocab, d]
  void embed(const at::Tensor& table, at::Tensor& residual) const;
  /// RMSNorm of every token; residual: [tokens, d] float32, weight: [d], out: [tokens, d]
  void norm(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const;
  /// RMSNorm of the wanted tokens; out: [wanted, d]
  void norm_wanted(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const;
  /// qkv: [tokens, (heads + 2 · kv_heads) · head_dim]; its queries are turned in place
  void rotate_and_store(std::int64_t layer, at::Tensor& qkv) const;
  /// out: [tokens, heads · head_dim]
  void attend(std::int64_t layer, const at::Tensor& qkv, at::Tensor& out) const;
  /// gate_up: [tokens, 2 f], out: [tokens, f]
  void gate(const at::Tensor& gate_up, at::Tensor& out) const;

private:
  void norm_rows(const at::Tensor& residual, const std::int32_t* rows, const at::Tensor& weight,
                 at::Tensor& out) const;

  const decode_batch& batch_;
  const model_config& config_;
  const rotary_tables& rotary_;
  kv_cache& cache_;
};

/// The same on the device of the cache, asynchronously where that is a CUDA device.
class aten_step {
public:
  aten_step(const decode_batch&, const model_config&, const rotary_tables&, kv_cache&);

  void embed(const at::Tensor& table, at::Tensor& residual) const;
  void norm(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const;
  void norm_wanted(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const;
  void rotate_and_store(std::int64_t layer, at::Tensor& qkv) const;
  void attend(std::int64_t layer, const at::Tensor& qkv, at::Tensor& out) const;
  void gate(const at::Tensor& gate_up, at::Tensor& out) const;

private:
  const model_config& config_;
  kv_cache& cache_;
  at::Tensor ids_, positions_, starts_, blocks_, block_starts_, wanted_; // int32
  at::Tensor slots_;                                                     // int64
  at::Tensor cos_, sin_; // [tokens, 1, head_dim / 2] of each token's position
};

} // namespace banyan
