#pragma once

#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <cstdint>
#include <memory>

namespace banyan {

/// A model that knows nothing yet, small enough to decode at once.
inline checkpoint tiny_checkpoint(std::int64_t context) {
  checkpoint model;
  model.vocabulary = countdown_tokenizer();
  auto& c = model.config;
  c.vocab_size = model.vocabulary->vocab_size();
  c.hidden_size = 16;
  c.num_layers = 1;
  c.num_heads = c.num_kv_heads = 2;
  c.head_dim = 8;
  c.intermediate_size = 16;
  c.max_positions = context;
  c.eos_id = model.vocabulary->eos_id();
  c.pad_id = model.vocabulary->pad_id();
  model.weights = std::make_shared<const model_weights>(random_weights(c, 1));
  return model;
}

} // namespace banyan
