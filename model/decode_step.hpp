#pragma once

#include "model/attention.hpp"
#include "model/config.hpp"
#include "model/elementwise.hpp"
#include "model/kv_cache.hpp"
#include "model/lanes.hpp"
#include "model/rotary.hpp"

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <ATen/core/Tensor.h>

namespace banyan {

// What a decode step does between its matrix products, for one batch. Private to model/.

/// A `decode_batch` as kernels take it: where its parts lie in the memory of the device.
struct step_batch {
  const std::int32_t *ids, *positions, *slots; ///< [tokens]
  const std::int32_t *starts, *block_starts;   ///< [sequences + 1]
  const std::int32_t *wanted, *blocks;         ///< [any]
  std::int64_t tokens, sequences;
};

/// `T`: float or bfloat16, the type of weights and cache; `Where`: on_cpu or on_stream.
template <class T, class Where>
class decode_step {
public:
  decode_step(const step_batch& batch, const model_config& config, const rotary_tables& rotary,
              kv_cache& cache, Where where = {})
      : batch_(batch), config_(config), rotary_(rotary), cache_(cache), where_(where) {}

  /// residual: [tokens, d] float32; table: [vocab, d]
  void embed(const at::Tensor& table, at::Tensor& residual) const {
    banyan::embed(data<const T>(table), batch_.ids, data<float>(residual), residual.size(0),
                  residual.size(1), where_);
  }

  /// RMSNorm of every token; residual: [tokens, d] float32, weight: [d], out: [tokens, d]
  void norm(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const {
    norm_rows(residual, nullptr, weight, out);
  }

  /// RMSNorm of the wanted tokens; out: [wanted, d]
  void norm_wanted(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const {
    norm_rows(residual, batch_.wanted, weight, out);
  }

  /// qkv: [tokens, (heads + 2 · kv_heads) · head_dim]; its queries are turned in place
  void rotate_and_store(std::int64_t layer, at::Tensor& qkv) const {
    banyan::rotate_and_store(rotate_and_store_args<T>{.qkv = data<T>(qkv),
                                                      .positions = batch_.positions,
                                                      .slots = batch_.slots,
                                                      .cos = data<const float>(rotary_.cos),
                                                      .sin = data<const float>(rotary_.sin),
                                                      .keys = of_layer(cache_.keys, layer),
                                                      .values = of_layer(cache_.values, layer),
                                                      .tokens = batch_.tokens,
                                                      .heads = config_.num_heads,
                                                      .kv_heads = config_.num_kv_heads,
                                                      .head_dim = config_.head_dim},
                             where_);
  }

  /// out: [tokens, heads · head_dim]
  void attend(std::int64_t layer, const at::Tensor& qkv, at::Tensor& out) const {
    paged_attention({.query = data<const T>(qkv),
                     .keys = of_layer(cache_.keys, layer),
                     .values = of_layer(cache_.values, layer),
                     .output = data<T>(out),
                     .starts = batch_.starts,
                     .positions = batch_.positions,
                     .blocks = batch_.blocks,
                     .block_starts = batch_.block_starts,
                     .num_sequences = static_cast<std::int32_t>(batch_.sequences),
                     .num_tokens = static_cast<std::int32_t>(batch_.tokens),
                     .heads = static_cast<std::int32_t>(config_.num_heads),
                     .kv_heads = static_cast<std::int32_t>(config_.num_kv_heads),
                     .head_dim = static_cast<std::int32_t>(config_.head_dim),
                     .block_size = static_cast<std::int32_t>(cache_.block_size()),
                     .query_stride = qkv.size(1),
                     .scale = 1 / std::sqrt(static_cast<float>(config_.head_dim)),
                     .bfloat16 = std::is_same_v<T, bfloat16>},
                    where_);
  }

  /// gate_up: [tokens, 2 f], out: [tokens, f]
  void gate(const at::Tensor& gate_up, at::Tensor& out) const {
    banyan::gate(data<const T>(gate_up), data<T>(out), out.size(0), out.size(1), where_);
  }

private:
  template <class E>
  static E* data(const at::Tensor& x) {
    return static_cast<E*>(x.data_ptr());
  }

  static T* of_layer(const at::Tensor& cache, std::int64_t layer) {
    return data<T>(cache) + layer * cache.stride(0);
  }

  void norm_rows(const at::Tensor& residual, const std::int32_t* rows, const at::Tensor& weight,
                 at::Tensor& out) const {
    rms_norm(rms_norm_args<T>{.x = data<const float>(residual),
                              .rows = rows,
                              .weight = data<const T>(weight),
                              .out = data<T>(out),
                              .count = out.size(0),
                              .width = out.size(1),
                              .eps = static_cast<float>(config_.rms_norm_eps)},
             where_);
  }

  step_batch batch_;
  const model_config& config_;
  const rotary_tables& rotary_;
  kv_cache& cache_;
  Where where_;
};

} // namespace banyan
