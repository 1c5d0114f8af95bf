#include "model/config.hpp"

#include "model/read_file.hpp"

#include <optional>

#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

constexpr std::int64_t widest =
    1 << 20; // of any one dimension; products of two stay far from overflow
constexpr std::int64_t most_layers = 1 << 12;
constexpr std::int64_t most_words = 1 << 24; // vocabulary and positions

/// The fields of one config.json; every complaint names the file and the field.
class field_reader {
public:
  explicit field_reader(std::filesystem::path file) : file_(std::move(file)) {
    const auto text = read_file(file_);
    try {
      fields_ = json::parse(text);
    } catch (const json::exception&) {
      fail("not JSON; restore it from the checkpoint");
    }
    if (!fields_.is_object()) fail("not a JSON object; restore it from the checkpoint");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw bad_checkpoint(file_.string() + ": " + what);
  }

  /// The field, null where it is missing: both mean "the default" in these files.
  const json& get(const char* key) const {
    static const json none;
    const auto found = fields_.find(key);
    return found == fields_.end() ? none : *found;
  }

  std::int64_t size(const char* key, std::int64_t most,
                    std::optional<std::int64_t> otherwise = {}) const {
    const auto& value = get(key);
    if (value.is_null() && otherwise) return *otherwise;
    if (value.is_null()) fail(std::string(key) + " is missing; add it");
    if (!value.is_number_integer() || value < 1 || value > most)
      fail(std::string(key) + " is " + value.dump() + "; it must be an integer from 1 to "
           + std::to_string(most));
    return value.get<std::int64_t>();
  }

  double positive(const json& value, const char* key, double otherwise) const {
    if (value.is_null()) return otherwise;
    if (!value.is_number() || !(value > 0.0))
      fail(std::string(key) + " is " + value.dump() + "; it must be a number above 0");
    return value.get<double>();
  }

  bool flag(const char* key, bool otherwise) const {
    const auto& value = get(key);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean())
      fail(std::string(key) + " is " + value.dump() + "; it must be true or false");
    return value.get<bool>();
  }

  std::int32_t token(const char* key, std::int64_t vocab_size) const {
    const auto& value = get(key);
    if (value.is_null() || value == -1) return -1;
    if (value.is_array()) fail(std::string(key) + " is a list; name the one token that is meant");
    if (!value.is_number_integer() || value < 0 || value >= vocab_size)
      fail(std::string(key) + " is " + value.dump()
           + "; it must be an id below vocab_size or null");
    return value.get<std::int32_t>();
  }

  /// Refuses what this model has not, with the field as it stands in the file.
  void only(bool supported, const char* key, const char* remedy) const {
    if (!supported) fail(std::string(key) + " " + get(key).dump() + " is not supported; " + remedy);
  }

private:
  std::filesystem::path file_;
  json fields_;
};

bool off(const json& value) { return value.is_null() || value == false; }

bool plain_rope(const json& value) {
  if (value.is_null()) return true;
  if (!value.is_object()) return false;
  const auto type = value.value("rope_type", value.value("type", json("default")));
  return type == "default" && value.value("partial_rotary_factor", json(1.0)) == 1.0;
}

void refuse_what_is_missing_here(const field_reader& f) {
  f.only(f.get("model_type") == "llama", "model_type", "use a model of type \"llama\"");
  const auto& activation = f.get("hidden_act");
  f.only(activation.is_null() || activation == "silu" || activation == "swish", "hidden_act",
         "use a model with \"silu\"");
  for (const auto* key : {"attention_bias", "mlp_bias"})
    f.only(off(f.get(key)), key, "use a model without biases");
  for (const auto* key : {"rope_scaling", "rope_parameters"})
    f.only(plain_rope(f.get(key)), key, "use a model with plain rotary embeddings");
  const auto& rotated = f.get("partial_rotary_factor");
  f.only(rotated.is_null() || rotated == 1.0, "partial_rotary_factor",
         "use a model that rotates whole heads");
  f.only(f.get("sliding_window").is_null() || f.get("use_sliding_window") == false,
         "sliding_window", "use a model with full attention");
  f.only(f.get("quantization_config").is_null(), "quantization_config",
         "use the checkpoint that is not quantised");
}

dtype stored_type(const field_reader& f) {
  const auto* key = f.get("dtype").is_null() ? "torch_dtype" : "dtype";
  const auto& value = f.get(key);
  f.only(value.is_null() || value == "float32" || value == "bfloat16" || value == "float16", key,
         "store the weights as float32, bfloat16 or float16");
  return value == "bfloat16" ? dtype::bfloat16
                             : dtype::float32; // float16 has no kernels; it widens
}

void check_heads(const field_reader& f, const model_config& c) {
  if (c.num_heads % c.num_kv_heads != 0)
    f.fail("num_key_value_heads " + std::to_string(c.num_kv_heads)
           + " does not divide num_attention_heads " + std::to_string(c.num_heads)
           + "; correct one of them");
  if (c.num_heads * c.head_dim > widest)
    f.fail("num_attention_heads times head_dim is above " + std::to_string(widest)
           + "; correct one of them");
  if (c.head_dim % 2 != 0)
    f.fail("head_dim " + std::to_string(c.head_dim)
           + " is odd; rotary embeddings need an even one");
}

std::int64_t head_dim(const field_reader& f, const model_config& c) {
  if (f.get("head_dim").is_null() && c.hidden_size % c.num_heads != 0)
    f.fail("head_dim is missing and num_attention_heads does not divide hidden_size; add head_dim");
  return f.size("head_dim", widest, c.hidden_size / c.num_heads);
}

double rope_theta(const field_reader& f) {
  const auto& rope = f.get("rope_parameters");
  const auto inner = rope.is_object() ? rope.value("rope_theta", json()) : json();
  return f.positive(inner.is_null() ? f.get("rope_theta") : inner, "rope_theta", 10000);
}

json token_or_null(std::int32_t id) { return id < 0 ? json(nullptr) : json(id); }

} // namespace

// Defaults are those of transformers' LlamaConfig, not ours: a missing field means there what it
// means here.
model_config read_config(const std::filesystem::path& file) {
  const field_reader f(file);
  refuse_what_is_missing_here(f);
  model_config c;
  c.vocab_size = f.size("vocab_size", most_words);
  c.hidden_size = f.size("hidden_size", widest);
  c.num_layers = f.size("num_hidden_layers", most_layers);
  c.num_heads = f.size("num_attention_heads", widest);
  c.num_kv_heads = f.size("num_key_value_heads", widest, c.num_heads);
  c.head_dim = head_dim(f, c);
  c.intermediate_size = f.size("intermediate_size", widest);
  c.max_positions = f.size("max_position_embeddings", most_words);
  c.rms_norm_eps = f.positive(f.get("rms_norm_eps"), "rms_norm_eps", 1e-6);
  c.rope_theta = rope_theta(f);
  c.tie_embeddings = f.flag("tie_word_embeddings", false);
  c.bos_id = f.token("bos_token_id", c.vocab_size);
  c.eos_id = f.token("eos_token_id", c.vocab_size);
  c.pad_id = f.token("pad_token_id", c.vocab_size);
  c.stored = stored_type(f);
  check_heads(f, c);
  return c;
}

std::string config_json(const model_config& c) {
  const json fields = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"vocab_size", c.vocab_size},
      {"hidden_size", c.hidden_size},
      {"num_hidden_layers", c.num_layers},
      {"num_attention_heads", c.num_heads},
      {"num_key_value_heads", c.num_kv_heads},
      {"head_dim", c.head_dim},
      {"intermediate_size", c.intermediate_size},
      {"hidden_act", "silu"},
      {"max_position_embeddings", c.max_positions},
      {"rms_norm_eps", c.rms_norm_eps},
      {"rope_theta", c.rope_theta},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"tie_word_embeddings", c.tie_embeddings},
      {"bos_token_id", token_or_null(c.bos_id)},
      {"eos_token_id", token_or_null(c.eos_id)},
      {"pad_token_id", token_or_null(c.pad_id)},
      {"torch_dtype", c.stored == dtype::bfloat16 ? "bfloat16" : "float32"},
  };
  return fields.dump(2) + "\n";
}

std::int64_t num_parameters(const model_config& c) {
  const auto d = c.hidden_size, q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  const auto attention = d * (q + 2 * kv) + q * d;
  const auto mlp = 3 * d * c.intermediate_size;
  const auto embeddings = c.vocab_size * d * (c.tie_embeddings ? 1 : 2);
  return embeddings + c.num_layers * (attention + mlp + 2 * d) + d;
}

} // namespace banyan
