#include "model/attention.hpp"
#include "model/decode_step.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#ifdef BANYAN_HAS_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

namespace banyan {

namespace {

/// All of a batch's numbers in one copy to the device; `part` takes them back in the same order.
class upload {
public:
  upload(std::initializer_list<const std::vector<std::int32_t>*> parts, const at::Device& device) {
    std::int64_t total = 0;
    for (auto part : parts) total += static_cast<std::int64_t>(part->size());
    auto host = at::empty({total}, at::TensorOptions(at::kInt).pinned_memory(device.is_cuda()));
    auto out = host.data_ptr<std::int32_t>();
    for (auto part : parts) out = std::copy(part->begin(), part->end(), out);
    all_ = host.to(device, /*non_blocking=*/true);
  }

  at::Tensor part(const std::vector<std::int32_t>& values) {
    const auto size = static_cast<std::int64_t>(values.size());
    const auto begin = std::exchange(taken_, taken_ + size);
    return all_.narrow(0, begin, size);
  }

private:
  at::Tensor all_; // [all numbers] int32
  std::int64_t taken_ = 0;
};

void launch_attention(const paged_attention_args& args, const at::Device& device) {
#ifdef BANYAN_HAS_CUDA
  if (device.is_cuda())
    return paged_attention_cuda(args, c10::cuda::getCurrentCUDAStream(device.index()).stream());
#endif
  TORCH_CHECK(device.is_cpu(), "no attention kernel for ", device.str());
  paged_attention_cpu(args);
}

} // namespace

rotary_tables make_rotary_tables(const model_config& c, const at::Device& device) {
  const auto options = at::TensorOptions(at::kDouble);
  const auto steps = at::arange(0, c.head_dim, 2, options);
  const auto inverse = at::pow(c.rope_theta, -steps / static_cast<double>(c.head_dim));
  const auto angle = at::outer(at::arange(c.max_positions, options), inverse);
  return {angle.cos().to(device, at::kFloat), angle.sin().to(device, at::kFloat)};
}

aten_step::aten_step(const decode_batch& b, const model_config& config, const rotary_tables& rotary,
                     kv_cache& cache)
    : config_(config), cache_(cache) {
  upload all({&b.ids, &b.positions, &b.slots, &b.starts, &b.blocks, &b.block_starts, &b.wanted},
             cache.keys.device());
  ids_ = all.part(b.ids);
  positions_ = all.part(b.positions);
  slots_ = all.part(b.slots).to(at::kLong);
  starts_ = all.part(b.starts);
  blocks_ = all.part(b.blocks);
  block_starts_ = all.part(b.block_starts);
  wanted_ = all.part(b.wanted);
  cos_ = rotary.cos.index_select(0, positions_).unsqueeze(1);
  sin_ = rotary.sin.index_select(0, positions_).unsqueeze(1);
}

void aten_step::embed(const at::Tensor& table, at::Tensor& residual) const {
  residual.copy_(at::embedding(table, ids_));
}

void aten_step::norm(const at::Tensor& residual, const at::Tensor& weight, at::Tensor& out) const {
  out.copy_(
      at::rms_norm(residual, {residual.size(1)}, weight.to(at::kFloat), config_.rms_norm_eps));
}

void aten_step::norm_wanted(const at::Tensor& residual, const at::Tensor& weight,
                            at::Tensor& out) const {
  norm(residual.index_select(0, wanted_), weight, out);
}

void aten_step::rotate_and_store(std::int64_t layer, at::Tensor& qkv) const {
  const auto heads = config_.num_heads, kv_heads = config_.num_kv_heads;
  auto split = qkv.view({qkv.size(0), heads + 2 * kv_heads, config_.head_dim});
  const auto halves = split.narrow(1, 0, heads + kv_heads).to(at::kFloat).chunk(2, -1);
  const auto turned = at::cat({halves[0] * cos_ - halves[1] * sin_, //
                               halves[1] * cos_ + halves[0] * sin_},
                              -1)
                          .to(qkv.scalar_type()); // [tokens, heads + kv_heads, head_dim]
  split.narrow(1, 0, heads).copy_(turned.narrow(1, 0, heads));
  auto by_slot = [&](at::Tensor& part) { // [slots, kv_heads, head_dim]
    return part.select(0, layer).view({-1, kv_heads, config_.head_dim});
  };
  by_slot(cache_.keys).index_copy_(0, slots_, turned.narrow(1, heads, kv_heads));
  by_slot(cache_.values).index_copy_(0, slots_, split.narrow(1, heads + kv_heads, kv_heads));
}

void aten_step::attend(std::int64_t layer, const at::Tensor& qkv, at::Tensor& out) const {
  auto ints = [](const at::Tensor& x) { return x.data_ptr<std::int32_t>(); };
  launch_attention({.query = qkv.data_ptr(),
                    .keys = cache_.keys.select(0, layer).data_ptr(),
                    .values = cache_.values.select(0, layer).data_ptr(),
                    .output = out.data_ptr(),
                    .starts = ints(starts_),
                    .positions = ints(positions_),
                    .blocks = ints(blocks_),
                    .block_starts = ints(block_starts_),
                    .num_sequences = static_cast<std::int32_t>(starts_.size(0) - 1),
                    .num_tokens = static_cast<std::int32_t>(qkv.size(0)),
                    .heads = static_cast<std::int32_t>(config_.num_heads),
                    .kv_heads = static_cast<std::int32_t>(config_.num_kv_heads),
                    .head_dim = static_cast<std::int32_t>(config_.head_dim),
                    .block_size = static_cast<std::int32_t>(cache_.block_size()),
                    .query_stride = qkv.size(1),
                    .scale = 1 / std::sqrt(static_cast<float>(config_.head_dim)),
                    .bfloat16 = qkv.scalar_type() == at::kBFloat16},
                   qkv.device());
}

void aten_step::gate(const at::Tensor& gate_up, at::Tensor& out) const {
  const auto halves = gate_up.chunk(2, -1);
  at::mul_out(out, at::silu(halves[0]), halves[1]);
}

} // namespace banyan
