#include "model/training_attention.hpp"

#include "model/rotary.hpp"
#include "model/transformer.hpp"
#include "model/tree_attention.hpp"
#include "model/tree_tiles.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/custom_function.h>

namespace banyan {

namespace {

/// Sequences of like length as rows for ATen's attention, padded to the longest of them.
struct padded_rows {
  std::int64_t rows = 0, longest = 0;
  at::Tensor tokens; // [their tokens] where each is in the batch
  at::Tensor cells;  // [their tokens] where each is in [rows · longest]
  at::Tensor mask;   // [rows, 1, longest, longest] 0 or -inf; undefined: causal, nothing is hidden
};

} // namespace

/// What the layers of one batch share.
struct training_attention::layout {
  sequence_batch batch; ///< without the ids
  model_config config;
  rotary_tables rotary; ///< up to the largest position
  bool own_kernel = false;
  at::Tensor positions;            // [tokens] on the device; int64 for ATen's attention, else int32
  std::vector<padded_rows> groups; // for ATen's attention
  at::Tensor visible_until, tiles; // [tokens], [tiles, 7] int32, for our kernel on CUDA

  std::int64_t heads_in_qkv() const { return config.num_heads + 2 * config.num_kv_heads; }
};

namespace {

using layout = training_attention::layout;

std::int64_t positions_of(const sequence_batch& batch) {
  const auto& all = batch.positions;
  return all.empty() ? 1 : std::int64_t{*std::ranges::max_element(all)} + 1;
}

at::Tensor mask_of(const padded_rows& g, const std::vector<std::int32_t>& until,
                   const at::Device& device, at::ScalarType compute) {
  auto index = at::arange(g.longest, at::TensorOptions(at::kLong).device(device));
  auto key = index.view({1, 1, -1}), query = index.view({1, -1, 1});
  auto visible = at::tensor(until, at::kInt).to(device, at::kLong).view({g.rows, 1, g.longest});
  auto hidden = ((key <= query) & (query < visible)).logical_not();
  return at::zeros(hidden.sizes(), at::TensorOptions(compute).device(device))
      .masked_fill_(hidden, -std::numeric_limits<float>::infinity())
      .unsqueeze(1);
}

padded_rows pad_rows(const sequence_batch& batch, const std::vector<std::size_t>& sequences,
                     const at::Device& device, at::ScalarType compute) {
  padded_rows g{.rows = static_cast<std::int64_t>(sequences.size())};
  const auto first = sequences.front(); // the longest
  g.longest = batch.starts[first + 1] - batch.starts[first];
  std::vector<std::int64_t> tokens, cells;
  std::vector<std::int32_t> until(static_cast<std::size_t>(g.rows * g.longest), visible_always);
  bool hides = false;
  for (std::size_t row = 0; row < sequences.size(); ++row) {
    auto cell = static_cast<std::int64_t>(row) * g.longest;
    for (auto t = batch.starts[sequences[row]]; t < batch.starts[sequences[row] + 1]; ++t, ++cell) {
      tokens.push_back(t);
      cells.push_back(cell);
      const auto end = batch.visible_until[static_cast<std::size_t>(t)];
      until[static_cast<std::size_t>(cell)] = end;
      hides |= end != visible_always;
    }
  }
  g.tokens = at::tensor(tokens, at::kLong).to(device);
  g.cells = at::tensor(cells, at::kLong).to(device);
  if (hides) g.mask = mask_of(g, until, device, compute);
  return g;
}

/// Rotates halves, as Hugging Face's Llama does. x: [tokens, heads, head_dim]; cos, sin: [tokens,
/// 1, head_dim / 2]
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  auto halves = x.to(at::kFloat).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

/// query, key, value: [tokens, heads, head_dim]
at::Tensor attention_of(const padded_rows& g, const at::Tensor& query, const at::Tensor& key,
                        const at::Tensor& value) {
  const auto pad = [&g](const at::Tensor& x) { // → [rows, heads, longest, head_dim]
    auto cells = at::zeros({g.rows * g.longest, x.size(1), x.size(2)}, x.options())
                     .index_copy(0, g.cells, x.index_select(0, g.tokens));
    return cells.view({g.rows, g.longest, x.size(1), x.size(2)}).transpose(1, 2);
  };
  std::optional<at::Tensor> mask;
  if (g.mask.defined()) mask = g.mask.to(query.scalar_type());
  auto out = at::scaled_dot_product_attention(pad(query), pad(key), pad(value), mask, 0.0, !mask,
                                              std::nullopt, query.size(1) != key.size(1));
  return out.transpose(1, 2).reshape({g.rows * g.longest, -1}).index_select(0, g.cells);
}

at::Tensor padded_attention(const at::Tensor& qkv, const layout& l) {
  const auto& c = l.config;
  auto cos = l.rotary.cos.index_select(0, l.positions).unsqueeze(1),
       sin = l.rotary.sin.index_select(0, l.positions).unsqueeze(1);
  auto split = qkv.view({qkv.size(0), l.heads_in_qkv(), c.head_dim})
                   .split_with_sizes({c.num_heads, c.num_kv_heads, c.num_kv_heads}, 1);
  const auto query = rotate(split[0], cos, sin), key = rotate(split[1], cos, sin);
  auto output = at::zeros({qkv.size(0), c.num_heads * c.head_dim}, qkv.options());
  for (const auto& g : l.groups)
    output = output.index_copy(0, g.tokens, attention_of(g, query, key, split[2]));
  return output;
}

/// The layout travels to the backward pass as an opaque pointer that autograd keeps alive.
struct layout_holder : torch::CustomClassHolder {
  std::shared_ptr<const layout> value;
};

/// What the backward pass reads of the forward pass.
struct kept {
  at::Tensor qkv;         // [tokens, heads + 2 kv_heads, head_dim] contiguous
  at::Tensor output;      // [tokens, heads, head_dim]
  at::Tensor log_sum_exp; // [heads, tokens] float32
  at::Tensor turned;      // [tokens, heads + kv_heads, head_dim]; on CUDA alone
};

tree_attention_base shared_args(const layout& l, const kept& x) {
  return {.qkv = x.qkv.const_data_ptr(),
          .output = x.output.data_ptr(),
          .log_sum_exp = x.log_sum_exp.data_ptr<float>(),
          .cos = l.rotary.cos.const_data_ptr<float>(),
          .sin = l.rotary.sin.const_data_ptr<float>(),
          .num_tokens = static_cast<std::int32_t>(x.qkv.size(0)),
          .heads = static_cast<std::int32_t>(l.config.num_heads),
          .kv_heads = static_cast<std::int32_t>(l.config.num_kv_heads),
          .head_dim = static_cast<std::int32_t>(l.config.head_dim)};
}

tree_attention_args cpu_args(const layout& l, const kept& x) {
  tree_attention_args args{shared_args(l, x)};
  args.positions = l.batch.positions.data();
  args.visible_until = l.batch.visible_until.data();
  args.starts = l.batch.starts.data();
  args.num_sequences = static_cast<std::int64_t>(l.batch.starts.size()) - 1;
  args.bfloat16 = x.qkv.scalar_type() == at::kBFloat16;
  return args;
}

tree_attention_cuda_args cuda_args(const layout& l, const kept& x) {
  tree_attention_cuda_args args{shared_args(l, x)};
  args.positions = l.positions.const_data_ptr<std::int32_t>();
  args.visible_until = l.visible_until.const_data_ptr<std::int32_t>();
  args.turned = x.turned.data_ptr();
  args.tiles = static_cast<const tree_tile*>(l.tiles.const_data_ptr());
  args.num_tiles = static_cast<std::int32_t>(l.tiles.size(0));
  return args;
}

/// The current one of the tensor's device.
void* stream_of(const at::Tensor& x) {
  const c10::impl::VirtualGuardImpl device(x.device().type());
  return device.getStreamNativeHandle(device.getStream(x.device()));
}

void attend(const layout& l, kept& x) {
  if (x.qkv.is_cpu()) return tree_attention_forward(cpu_args(l, x));
  const c10::DeviceGuard on(x.qkv.device()); // a launch goes to the current one
  x.turned =
      at::empty({x.qkv.size(0), (l.config.num_heads + l.config.num_kv_heads) * l.config.head_dim},
                x.qkv.options());
  tree_attention_forward_cuda(cuda_args(l, x), stream_of(x.qkv));
}

void find_gradient(const layout& l, const kept& x, const at::Tensor& of_output,
                   at::Tensor& of_qkv) {
  const auto with_gradients = [&](auto args) {
    args.grad_output = of_output.const_data_ptr();
    args.grad_qkv = of_qkv.data_ptr();
    return args;
  };
  if (x.qkv.is_cpu()) return tree_attention_backward(with_gradients(cpu_args(l, x)));
  const c10::DeviceGuard on(x.qkv.device());
  const auto delta = at::empty_like(x.log_sum_exp);
  auto args = with_gradients(cuda_args(l, x));
  args.delta = delta.data_ptr<float>();
  tree_attention_backward_cuda(args, stream_of(x.qkv));
}

void lay_out_for_cuda(layout& l, const at::Device& device) {
  static_assert(sizeof(tree_tile) == 7 * sizeof(std::int32_t));
  auto tiles = tree_tiles(l.batch.starts, l.batch.visible_until);
  l.positions = at::tensor(l.batch.positions, at::kInt).to(device);
  l.visible_until = at::tensor(l.batch.visible_until, at::kInt).to(device);
  l.tiles = at::from_blob(tiles.data(), {static_cast<std::int64_t>(tiles.size()), 7}, at::kInt)
                .to(device);
}

bool fits_cuda(const model_config& c, const at::Device& device, at::ScalarType compute) {
  return device.is_cuda() && compute == at::kBFloat16 && tree_attention_cuda_fits(c.head_dim);
}

struct tree_attention_function : torch::autograd::Function<tree_attention_function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const std::shared_ptr<const layout>& l) {
    kept x{.qkv = input.contiguous()};
    const auto tokens = x.qkv.size(0), heads = l->config.num_heads;
    x.output = at::empty({tokens, heads * l->config.head_dim}, x.qkv.options());
    x.log_sum_exp = at::empty({heads, tokens}, x.qkv.options().dtype(at::kFloat));
    attend(*l, x);
    context->save_for_backward({x.qkv, x.output, x.log_sum_exp, x.turned});
    auto holder = c10::make_intrusive<layout_holder>();
    holder->value = l;
    context->saved_data["layout"] = at::IValue(c10::IValue::make_capsule(std::move(holder)));
    return x.output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto capsule = context->saved_data["layout"].toCapsule();
    const auto& l = *static_cast<layout_holder*>(capsule.get())->value;
    auto of_qkv = at::empty_like(saved[0]);
    find_gradient(l, {saved[0], saved[1], saved[2], saved[3]}, gradients[0].contiguous(), of_qkv);
    return {of_qkv, at::Tensor()};
  }
};

} // namespace

std::vector<std::vector<std::size_t>> of_like_length(std::span<const std::int32_t> starts) {
  const auto length = [starts](std::size_t s) { return starts[s + 1] - starts[s]; };
  std::vector<std::size_t> order;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    if (length(s) > 0) order.push_back(s);
  std::ranges::stable_sort(order, std::ranges::greater(), length);
  std::vector<std::vector<std::size_t>> groups;
  for (const auto s : order) {
    if (groups.empty() || 2 * length(s) < length(groups.back().front())) groups.emplace_back();
    groups.back().push_back(s);
  }
  return groups;
}

training_attention::training_attention(const sequence_batch& batch, const model_config& config,
                                       const at::Device& device, at::ScalarType compute) {
  auto l = std::make_shared<layout>();
  l->batch = {.ids = {},
              .positions = batch.positions,
              .visible_until = batch.visible_until,
              .starts = batch.starts};
  l->config = config;
  const bool on_cuda = fits_cuda(config, device, compute);
  l->own_kernel = on_cuda || (device.is_cpu() && tree_attention_fits(config.head_dim));
  l->rotary = make_rotary_tables(config, positions_of(batch), device);
  if (on_cuda) lay_out_for_cuda(*l, device);
  if (!l->own_kernel) {
    l->positions = at::tensor(batch.positions, at::kInt).to(device, at::kLong);
    for (const auto& sequences : of_like_length(batch.starts))
      l->groups.push_back(pad_rows(batch, sequences, device, compute));
  }
  layout_ = std::move(l);
}

at::Tensor training_attention::operator()(const at::Tensor& qkv) const {
  return layout_->own_kernel ? tree_attention_function::apply(qkv, layout_)
                             : padded_attention(qkv, *layout_);
}

} // namespace banyan
