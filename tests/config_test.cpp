#include "model/config.hpp"
#include "tests/scratch_folder.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace banyan;
using json = nlohmann::ordered_json;

namespace {

model_config small_config() {
  return {.vocab_size = 68,
          .num_kv_heads = 2,
          .max_positions = 512,
          .rope_theta = 5e5,
          .eos_id = 1,
          .pad_id = 0,
          .stored = dtype::bfloat16};
}

model_config read(const std::string& text) {
  const scratch_folder folder;
  folder.write("config.json", text);
  return read_config(folder / "config.json");
}

model_config read_with(const char* field, const json& value) {
  auto fields = json::parse(config_json(small_config()));
  fields[field] = value;
  return read(fields.dump());
}

model_config read_without(const char* field) {
  auto fields = json::parse(config_json(small_config()));
  fields.erase(field);
  return read(fields.dump());
}

} // namespace

TEST_CASE("a config written is the config read", "[model]") {
  CHECK(read(config_json(small_config())) == small_config());
  auto other = small_config();
  other.tie_embeddings = false;
  other.bos_id = 3;
  other.head_dim = 64;
  other.rms_norm_eps = 1e-6;
  other.stored = dtype::float32;
  CHECK(read(config_json(other)) == other);
}

TEST_CASE("missing config fields mean what they mean in transformers", "[model]") {
  CHECK(read_without("num_key_value_heads").num_kv_heads == 4);
  CHECK(read_without("head_dim").head_dim == 32);
  CHECK(read_without("rms_norm_eps").rms_norm_eps == 1e-6);
  CHECK(read_without("rope_theta").rope_theta == 10000);
  CHECK(read_without("tie_word_embeddings").tie_embeddings == false);
  CHECK(read_without("eos_token_id").eos_id == -1);
  CHECK(read_without("torch_dtype").stored == dtype::float32);
}

TEST_CASE("newer spellings of config fields are understood", "[model]") {
  const json rope = {{"rope_type", "default"}, {"rope_theta", 123.0}};
  CHECK(read_with("rope_parameters", rope).rope_theta == 123);
  CHECK(read_with("dtype", "float32").stored == dtype::float32);
  CHECK(read_with("torch_dtype", "float16").stored == dtype::float32);
}

TEST_CASE("a config that asks for what the model has not is refused by field name", "[model]") {
  auto refused = [](const char* field, const json& value) {
    CAPTURE(field, value.dump());
    CHECK_THROWS_WITH(read_with(field, value),
                      Catch::Contains("config.json: ") && Catch::Contains(field));
  };
  refused("model_type", "qwen2");
  refused("hidden_act", "gelu");
  refused("attention_bias", true);
  refused("mlp_bias", true);
  refused("rope_scaling", {{"type", "linear"}, {"factor", 2.0}});
  refused("rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 500000.0}});
  refused("partial_rotary_factor", 0.5);
  refused("sliding_window", 4096);
  refused("quantization_config", {{"quant_method", "gptq"}});
  refused("torch_dtype", "float8_e4m3fn");
}

TEST_CASE("a config value that makes no model is refused by field name", "[model]") {
  auto refused = [](const char* field, const json& value) {
    CAPTURE(field, value.dump());
    CHECK_THROWS_WITH(read_with(field, value),
                      Catch::Contains("config.json: ") && Catch::Contains(field));
  };
  refused("hidden_size", 0);
  refused("hidden_size", -128);
  refused("hidden_size", "128");
  refused("hidden_size", 128.5);
  refused("num_hidden_layers", std::uint64_t{1} << 63);
  refused("vocab_size", std::int64_t{1} << 40);
  refused("num_key_value_heads", 3);
  refused("num_attention_heads", 1 << 19);
  refused("head_dim", 33);
  refused("rms_norm_eps", 0);
  refused("rope_theta", "10000");
  refused("tie_word_embeddings", 1);
  refused("eos_token_id", 68);
  refused("eos_token_id", json::array({1, 2}));
  for (const auto* field : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                            "intermediate_size", "max_position_embeddings", "model_type"})
    CHECK_THROWS_WITH(read_without(field), Catch::Contains(field));
}

TEST_CASE("a config file that is missing or no JSON object is a bad checkpoint", "[model]") {
  const scratch_folder folder;
  CHECK_THROWS_AS(read_config(folder / "config.json"), bad_checkpoint);
  CHECK_THROWS_AS(read_config(folder.path()), bad_checkpoint);
  for (const auto* text : {"", "{", "[]", "null",
                           "\x7f"
                           "ELF"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(read(text), bad_checkpoint);
  }
}

TEST_CASE("weights are counted once where embeddings are tied", "[model]") {
  model_config c{.vocab_size = 10,
                 .hidden_size = 4,
                 .num_layers = 2,
                 .num_heads = 2,
                 .num_kv_heads = 1,
                 .head_dim = 2,
                 .intermediate_size = 6};
  // embedding 40, final norm 4; a layer: q 16, k 8, v 8, o 16, three MLP matrices of 24, norms 8
  CHECK(num_parameters(c) == 40 + 4 + 2 * (16 + 8 + 8 + 16 + 72 + 8));
  c.tie_embeddings = false;
  CHECK(num_parameters(c) == 80 + 4 + 2 * (16 + 8 + 8 + 16 + 72 + 8));
}
