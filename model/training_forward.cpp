#include "model/element_type.hpp"
#include "model/elementwise.hpp"
#include "model/training_attention.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace banyan {

namespace {

at::Tensor index_tensor(const std::vector<std::int32_t>& values, const at::Device& device) {
  return at::tensor(values, at::kInt).to(device, at::kLong);
}

/// RMSNorm in float32 (Zhang & Sennrich 2019): x · w / √(mean x² + eps).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return at::rms_norm(x, {x.size(-1)}, weight, eps);
}

/// silu(gate) · up on the CPU; keeps its input alone, and reads it once in each pass.
struct gate_function : torch::autograd::Function<gate_function> {
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& gate_up) { // [tokens, 2 f], contiguous
    const auto width = gate_up.size(1) / 2;
    auto out = at::empty({gate_up.size(0), width}, gate_up.options());
    with_type(out, [&](auto type) {
      using T = decltype(type);
      gate(static_cast<const T*>(gate_up.const_data_ptr()), static_cast<T*>(out.data_ptr()),
           gate_up.size(0), width, on_cpu());
    });
    context->save_for_backward({gate_up});
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto gate_up = context->get_saved_variables()[0];
    const auto gradient = gradients[0].contiguous();
    auto to = at::empty_like(gate_up);
    with_type(to, [&](auto type) {
      using T = decltype(type);
      gate_backward(static_cast<const T*>(gate_up.const_data_ptr()),
                    static_cast<const T*>(gradient.const_data_ptr()),
                    static_cast<T*>(to.data_ptr()), gate_up.size(0), gate_up.size(1) / 2);
    });
    return {to};
  }
};

at::Tensor gated(const at::Tensor& gate_up) { // [tokens, 2 f] → [tokens, f]
  if (gate_up.is_cpu()) return gate_function::apply(gate_up.contiguous());
  const auto halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]) * halves[1];
}

/// What all layers of one pass share.
struct step {
  double eps; ///< of the norms
  at::ScalarType compute;
  training_attention attention_of; ///< over the batch

  at::Tensor product(const at::Tensor& x, const at::Tensor& weight) const {
    return at::linear(x.to(compute), weight.to(compute));
  }

  at::Tensor attention(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    return product(attention_of(product(x, layer.qkv)), layer.output);
  }

  at::Tensor mlp(const at::Tensor& x, const layer_weights& layer) const { // x: [tokens, d]
    return product(gated(product(x, layer.gate_up)), layer.down);
  }

  at::Tensor operator()(const at::Tensor& before, const layer_weights& layer) const { // [tokens, d]
    const auto x = before + attention(rms_norm(before, layer.attention_norm, eps), layer);
    return x + mlp(rms_norm(x, layer.mlp_norm, eps), layer);
  }
};

/// Travels to the backward pass as an opaque pointer that autograd keeps alive.
struct step_holder : torch::CustomClassHolder {
  std::shared_ptr<const step> value;
};

layer_weights layer_of(const torch::autograd::variable_list& parts) { // the layer's input first
  return {parts[1], parts[2], parts[3], parts[4], parts[5], parts[6]};
}

/// A layer that keeps its input alone and runs again in the backward pass (Chen et al. 2016).
struct recomputed_layer : torch::autograd::Function<recomputed_layer> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& attention_norm, const at::Tensor& qkv,
                            const at::Tensor& output, const at::Tensor& mlp_norm,
                            const at::Tensor& gate_up, const at::Tensor& down,
                            const std::shared_ptr<const step>& s) {
    context->save_for_backward({x, attention_norm, qkv, output, mlp_norm, gate_up, down});
    auto holder = c10::make_intrusive<step_holder>();
    holder->value = s;
    context->saved_data["step"] = c10::IValue::make_capsule(std::move(holder));
    return (*s)(x, {attention_norm, qkv, output, mlp_norm, gate_up, down});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto parts = context->get_saved_variables();
    torch::autograd::variable_list wanted;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      parts[i] = parts[i].detach();
      if (!context->needs_input_grad(i)) continue;
      wanted.push_back(parts[i].requires_grad_(true));
    }
    const auto capsule = context->saved_data["step"].toCapsule();
    const auto& s = *static_cast<step_holder*>(capsule.get())->value;
    at::AutoGradMode with_graph(true);
    auto found = torch::autograd::grad({s(parts[0], layer_of(parts))}, wanted, gradients);
    torch::autograd::variable_list all(parts.size() + 1); // none for the step
    for (std::size_t i = 0, next = 0; i < parts.size(); ++i)
      if (parts[i].requires_grad()) all[i] = std::move(found[next++]);
    return all;
  }
};

} // namespace

at::Tensor transformer::forward(const sequence_batch& batch, const at::Tensor& selected,
                                dtype compute, bool recompute) const {
  const auto& w = *weights();
  const auto& c = w.config;
  const auto device = w.embedding.device();
  const auto type = scalar_type(compute);
  const auto s = std::make_shared<const step>(
      step{c.rms_norm_eps, type, training_attention(batch, c, device, type)});

  auto x = at::embedding(w.embedding, index_tensor(batch.ids, device)); // [tokens, d] float32
  for (const auto& l : w.layers)
    x = recompute ? recomputed_layer::apply(x, l.attention_norm, l.qkv, l.output, l.mlp_norm,
                                            l.gate_up, l.down, s)
                  : (*s)(x, l);
  if (selected.defined()) x = x.index_select(0, selected);
  x = rms_norm(x, w.final_norm, c.rms_norm_eps);
  return s->product(x, w.head).to(at::kFloat);
}

} // namespace banyan
