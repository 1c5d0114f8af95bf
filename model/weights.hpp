#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace banyan {

/// The weights of one layer. Projections that read the same input are stored as one matrix; their
/// parts are rows of it, in the order named. d = hidden_size, q = num_heads·head_dim, kv =
/// num_kv_heads·head_dim, f = intermediate_size.
struct layer_weights {
  at::Tensor attention_norm; // [d]
  at::Tensor qkv;            // [q + kv + kv, d]
  at::Tensor output;         // [d, q]
  at::Tensor mlp_norm;       // [d]
  at::Tensor gate_up;        // [2 f, d]
  at::Tensor down;           // [d, f]
};

/// One set of weights for training and for decoding.
struct model_weights {
  model_config config;
  at::Tensor embedding; // [vocab, d]
  std::vector<layer_weights> layers;
  at::Tensor final_norm; // [d]
  at::Tensor head;       // [vocab, d]; the same tensor as `embedding` when tied
};

/// A named part of the weights: Hugging Face's name and a view that shares memory with
/// `model_weights`.
struct named_tensor {
  std::string name; // e.g. "model.layers.0.self_attn.q_proj.weight"
  at::Tensor value;
};

/// All parts in a fixed order; a tied head is left out.
std::vector<named_tensor> named_views(const model_weights&);

/// Weights of this shape, uninitialised.
model_weights empty_weights(const model_config&, dtype, const std::string& device = "cpu");

/// Normal initialisation: embedding 0.02, matrices 0.5/√fan-in, the output projections of attention
/// and MLP divided by √(2·layers) on top; norms 1. A function of the seed alone (generated on the
/// CPU).
model_weights random_weights(const model_config&, std::uint64_t seed);

/// A copy on the device in the precision.
model_weights copy_weights(const model_weights&, dtype, const std::string& device);

/// The same values in the same memory, without autograd, for readers who keep them while their
/// owner learns on: before it changes anything it must `leave_shared_memory`.
model_weights share_weights(const model_weights&);

/// Moves the weights to memory of their own; who shared the old keeps it as it is. Handles to the
/// tensors (an optimiser's, autograd's) follow.
void leave_shared_memory(model_weights&);

} // namespace banyan
