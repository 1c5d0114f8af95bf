#pragma once

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace banyan {

/// A checkpoint or a part of it is missing, damaged or does not fit. `what()` is one line that
/// names the file, what is wrong and what to do.
struct bad_checkpoint : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class dtype : std::uint8_t { float32, bfloat16 };

/// Shape of a Llama-architecture model; the fields are those of Hugging Face's `config.json`.
struct model_config {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 128;
  std::int64_t num_layers = 4;
  std::int64_t num_heads = 4;
  std::int64_t num_kv_heads = 4; ///< divides num_heads
  std::int64_t head_dim = 32;
  std::int64_t intermediate_size = 384;
  std::int64_t max_positions = 2048; ///< context, in tokens
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  bool tie_embeddings = true;
  std::int32_t bos_id = -1, eos_id = -1, pad_id = -1; ///< -1: the model has none
  banyan::dtype stored = banyan::dtype::float32;      ///< of the weights on disk

  bool operator==(const model_config&) const = default;
};

/// Reads `config.json` (model_type "llama"). Throws `bad_checkpoint` for a file that is missing, is
/// not JSON, lacks a field, or asks for something this model has not (rope scaling, biases, another
/// type).
model_config read_config(const std::filesystem::path& file);

/// The text of `config.json`, loadable by `transformers` as a LlamaForCausalLM.
std::string config_json(const model_config&);

/// Number of weights.
std::int64_t num_parameters(const model_config&);

} // namespace banyan
