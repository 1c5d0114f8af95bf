#include "model/training_attention.hpp"

#include "model/transformer.hpp"
#include "model/tree_attention.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace banyan {

/// What the layers of one batch share.
struct training_attention::layout {
  sequence_batch batch; ///< without the ids
  model_config config;
  at::Tensor cos, sin; // [max position + 1, head_dim / 2] float32
  bool own_kernel = false;
  // For ATen's attention: rows padded to the longest sequence.
  std::int64_t rows = 0, longest = 0;
  at::Tensor positions; // [tokens]
  at::Tensor cells;     // [tokens] where a token lies in [rows · longest]
  at::Tensor mask;      // [rows, 1, longest, longest] 0 or -inf

  std::int64_t heads_in_qkv() const { return config.num_heads + 2 * config.num_kv_heads; }
};

namespace {

using layout = training_attention::layout;

void make_tables(layout& l, const at::Device& device) {
  const auto last = l.batch.positions.empty()
                        ? 0
                        : *std::max_element(l.batch.positions.begin(), l.batch.positions.end());
  const auto options = at::TensorOptions(at::kDouble).device(device);
  auto inverse = at::pow(l.config.rope_theta,
                         -at::arange(0, l.config.head_dim, 2, options) / double(l.config.head_dim));
  auto angle = at::outer(at::arange(last + 1, options), inverse);
  l.cos = angle.cos().to(at::kFloat).contiguous();
  l.sin = angle.sin().to(at::kFloat).contiguous();
}

/// Rows, cells and mask for ATen's attention.
void make_padded(layout& l, const at::Device& device, at::ScalarType compute) {
  const auto& starts = l.batch.starts;
  l.rows = static_cast<std::int64_t>(starts.size()) - 1;
  for (std::size_t i = 1; i < starts.size(); ++i)
    l.longest = std::max<std::int64_t>(l.longest, starts[i] - starts[i - 1]);
  std::vector<std::int64_t> cells;
  std::vector<std::int32_t> until(static_cast<std::size_t>(l.rows * l.longest), visible_always);
  for (std::int64_t row = 0; row < l.rows; ++row)
    for (auto t = starts[static_cast<std::size_t>(row)];
         t < starts[static_cast<std::size_t>(row) + 1]; ++t) {
      cells.push_back(row * l.longest + t - starts[static_cast<std::size_t>(row)]);
      until[static_cast<std::size_t>(cells.back())] =
          l.batch.visible_until[static_cast<std::size_t>(t)];
    }
  l.cells = at::tensor(cells, at::kLong).to(device);
  l.positions = at::tensor(l.batch.positions, at::kInt).to(device, at::kLong);
  auto index = at::arange(l.longest, at::TensorOptions(at::kLong).device(device));
  auto key = index.view({1, 1, -1}), query = index.view({1, -1, 1});
  auto visible = at::tensor(until, at::kInt).to(device, at::kLong).view({l.rows, 1, l.longest});
  auto hidden = ((key <= query) & (query < visible)).logical_not();
  l.mask = at::zeros(hidden.sizes(), at::TensorOptions(compute).device(device))
               .masked_fill_(hidden, -std::numeric_limits<float>::infinity())
               .unsqueeze(1);
}

/// Rotates halves, as Hugging Face's Llama does. x: [tokens, heads, head_dim]; cos, sin: [tokens,
/// 1, head_dim / 2]
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  auto halves = x.to(at::kFloat).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

at::Tensor padded_attention(const at::Tensor& qkv, const layout& l) {
  const auto& c = l.config;
  auto cos = l.cos.index_select(0, l.positions).unsqueeze(1),
       sin = l.sin.index_select(0, l.positions).unsqueeze(1);
  auto split = qkv.view({qkv.size(0), l.heads_in_qkv(), c.head_dim})
                   .split_with_sizes({c.num_heads, c.num_kv_heads, c.num_kv_heads}, 1);
  auto pad = [&](const at::Tensor& x) { // → [rows, heads, longest, head_dim]
    auto cells = at::zeros({l.rows * l.longest, x.size(1), x.size(2)}, x.options())
                     .index_copy(0, l.cells, x);
    return cells.view({l.rows, l.longest, x.size(1), x.size(2)}).transpose(1, 2);
  };
  auto out = at::scaled_dot_product_attention(
      pad(rotate(split[0], cos, sin)), pad(rotate(split[1], cos, sin)), pad(split[2]),
      l.mask.to(qkv.scalar_type()), 0.0, false, std::nullopt, c.num_heads != c.num_kv_heads);
  return out.transpose(1, 2).reshape({l.rows * l.longest, -1}).index_select(0, l.cells);
}

tree_attention_args kernel_args(const layout& l, const at::Tensor& qkv, const at::Tensor& output,
                                const at::Tensor& log_sum_exp) {
  return {.qkv = qkv.const_data_ptr(),
          .output = output.data_ptr(),
          .log_sum_exp = log_sum_exp.data_ptr<float>(),
          .cos = l.cos.const_data_ptr<float>(),
          .sin = l.sin.const_data_ptr<float>(),
          .starts = l.batch.starts.data(),
          .positions = l.batch.positions.data(),
          .visible_until = l.batch.visible_until.data(),
          .num_sequences = static_cast<std::int64_t>(l.batch.starts.size()) - 1,
          .num_tokens = qkv.size(0),
          .heads = l.config.num_heads,
          .kv_heads = l.config.num_kv_heads,
          .head_dim = l.config.head_dim,
          .bfloat16 = qkv.scalar_type() == at::kBFloat16};
}

/// The layout travels to the backward pass as an opaque pointer that autograd keeps alive.
struct layout_holder : torch::CustomClassHolder {
  std::shared_ptr<const layout> value;
};

struct tree_attention_function : torch::autograd::Function<tree_attention_function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const std::shared_ptr<const layout>& l) {
    auto qkv = input.contiguous();
    auto output = at::empty({qkv.size(0), l->config.num_heads * l->config.head_dim}, qkv.options());
    auto log_sum_exp =
        at::empty({l->config.num_heads, qkv.size(0)}, qkv.options().dtype(at::kFloat));
    tree_attention_forward(kernel_args(*l, qkv, output, log_sum_exp));
    context->save_for_backward({qkv, output, log_sum_exp});
    auto holder = c10::make_intrusive<layout_holder>();
    holder->value = l;
    context->saved_data["layout"] = at::IValue(c10::IValue::make_capsule(std::move(holder)));
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto saved = context->get_saved_variables();
    const auto capsule = context->saved_data["layout"].toCapsule();
    const auto& l = *static_cast<layout_holder*>(capsule.get())->value;
    auto grad_output = gradients[0].contiguous();
    auto grad_qkv = at::empty_like(saved[0]);
    auto args = kernel_args(l, saved[0], saved[1], saved[2]);
    args.grad_output = grad_output.const_data_ptr();
    args.grad_qkv = grad_qkv.data_ptr();
    tree_attention_backward(args);
    return {grad_qkv, at::Tensor()};
  }
};

} // namespace

training_attention::training_attention(const sequence_batch& batch, const model_config& config,
                                       const at::Device& device, at::ScalarType compute) {
  auto l = std::make_shared<layout>();
  l->batch = {.ids = {},
              .positions = batch.positions,
              .visible_until = batch.visible_until,
              .starts = batch.starts};
  l->config = config;
  l->own_kernel = device.is_cpu() && tree_attention_fits(config.head_dim);
  make_tables(*l, device);
  if (!l->own_kernel) make_padded(*l, device, compute);
  layout_ = std::move(l);
}

at::Tensor training_attention::operator()(const at::Tensor& qkv) const {
  return layout_->own_kernel ? tree_attention_function::apply(qkv, layout_)
                             : padded_attention(qkv, *layout_);
}

} // namespace banyan
