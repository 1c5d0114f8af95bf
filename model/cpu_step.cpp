#include "model/attention.hpp"
#include "model/decode_step.hpp"
#include "model/elementwise.hpp"
#include "model/lanes.hpp"

#include <cmath>
#include <type_traits>

#include <ATen/ATen.h>

namespace banyan {

namespace {

template <class T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

} // namespace

template <class T>
cpu_step<T>::cpu_step(const decode_batch& batch, const model_config& config,
                      const rotary_tables& rotary, kv_cache& cache)
    : batch_(batch), config_(config), rotary_(rotary), cache_(cache) {}

template <class T>
void cpu_step<T>::embed(const at::Tensor& table, at::Tensor& residual) const {
  banyan::embed(data<T>(table), batch_.ids.data(), data<float>(residual), residual.size(0),
                residual.size(1));
}

template <class T>
void cpu_step<T>::norm_rows(const at::Tensor& residual, const std::int32_t* rows,
                            const at::Tensor& weight, at::Tensor& out) const {
  rms_norm<T>({.x = data<float>(residual),
               .rows = rows,
               .weight = data<T>(weight),
               .out = data<T>(out),
               .count = out.size(0),
               .width = out.size(1),
               .eps = static_cast<float>(config_.rms_norm_eps)});
}

template <class T>
void cpu_step<T>::norm(const at::Tensor& residual, const at::Tensor& weight,
                       at::Tensor& out) const {
  norm_rows(residual, nullptr, weight, out);
}

template <class T>
void cpu_step<T>::norm_wanted(const at::Tensor& residual, const at::Tensor& weight,
                              at::Tensor& out) const {
  norm_rows(residual, batch_.wanted.data(), weight, out);
}

template <class T>
void cpu_step<T>::rotate_and_store(std::int64_t layer, at::Tensor& qkv) const {
  const auto layer_elements = cache_.keys.stride(0);
  banyan::rotate_and_store<T>({.qkv = data<T>(qkv),
                               .positions = batch_.positions.data(),
                               .slots = batch_.slots.data(),
                               .cos = data<float>(rotary_.cos),
                               .sin = data<float>(rotary_.sin),
                               .keys = data<T>(cache_.keys) + layer * layer_elements,
                               .values = data<T>(cache_.values) + layer * layer_elements,
                               .tokens = qkv.size(0),
                               .heads = config_.num_heads,
                               .kv_heads = config_.num_kv_heads,
                               .head_dim = config_.head_dim});
}

template <class T>
void cpu_step<T>::attend(std::int64_t layer, const at::Tensor& qkv, at::Tensor& out) const {
  const auto layer_elements = cache_.keys.stride(0);
  paged_attention_cpu({.query = data<T>(qkv),
                       .keys = data<T>(cache_.keys) + layer * layer_elements,
                       .values = data<T>(cache_.values) + layer * layer_elements,
                       .output = data<T>(out),
                       .starts = batch_.starts.data(),
                       .positions = batch_.positions.data(),
                       .blocks = batch_.blocks.data(),
                       .block_starts = batch_.block_starts.data(),
                       .num_sequences = static_cast<std::int32_t>(batch_.num_sequences()),
                       .num_tokens = static_cast<std::int32_t>(batch_.ids.size()),
                       .heads = static_cast<std::int32_t>(config_.num_heads),
                       .kv_heads = static_cast<std::int32_t>(config_.num_kv_heads),
                       .head_dim = static_cast<std::int32_t>(config_.head_dim),
                       .block_size = static_cast<std::int32_t>(cache_.block_size()),
                       .query_stride = qkv.size(1),
                       .scale = 1 / std::sqrt(static_cast<float>(config_.head_dim)),
                       .bfloat16 = std::is_same_v<T, bfloat16>});
}

template <class T>
void cpu_step<T>::gate(const at::Tensor& gate_up, at::Tensor& out) const {
  banyan::gate(data<T>(gate_up), data<T>(out), out.size(0), out.size(1));
}

template class cpu_step<float>;
template class cpu_step<bfloat16>;

} // namespace banyan
