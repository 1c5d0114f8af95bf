#include "model/atomic_file.hpp"
#include "model/atomic_folder.hpp"
#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/file_limit.hpp"
#include "tests/scratch_folder.hpp"

#include <limits>

#include <ATen/ATen.h>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace banyan;
using json = nlohmann::ordered_json;

namespace {

model_config tiny_config() {
  const auto words = countdown_tokenizer();
  return {.vocab_size = words->vocab_size(),
          .hidden_size = 16,
          .num_layers = 2,
          .num_heads = 2,
          .num_kv_heads = 1,
          .head_dim = 8,
          .intermediate_size = 24,
          .max_positions = 64,
          .eos_id = words->eos_id(),
          .pad_id = words->pad_id()};
}

// A checkpoint folder "c" with something wrong in it, made by the test.
struct saved {
  scratch_folder folder;
  std::filesystem::path path = folder / "c";
  model_weights weights;

  explicit saved(const model_config& config = tiny_config()) : weights(random_weights(config, 1)) {
    save_checkpoint(path, weights, *countdown_tokenizer());
  }

  std::map<std::string, at::Tensor> tensors() const {
    return map_safetensors(path / "model.safetensors").tensors;
  }
  void put(const std::map<std::string, at::Tensor>& tensors) const {
    write_safetensors(path / "model.safetensors", tensors);
  }
  void put_config(const char* field, const json& value) const {
    auto fields = json::parse(folder.read("c/config.json"));
    fields[field] = value;
    folder.write("c/config.json", fields.dump());
  }
  checkpoint load(dtype type = dtype::float32) const { return load_checkpoint(path, type); }
};

void check_equal(const model_weights& a, const model_weights& b) {
  const auto all_a = named_views(a), all_b = named_views(b);
  REQUIRE(all_a.size() == all_b.size());
  for (std::size_t i = 0; i < all_a.size(); ++i) {
    CAPTURE(all_a[i].name);
    CHECK(all_a[i].name == all_b[i].name);
    CHECK(at::equal(all_a[i].value, all_b[i].value));
  }
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace

TEST_CASE("a checkpoint saved is the checkpoint loaded", "[model]") {
  const saved s;
  const auto loaded = s.load();
  CHECK(loaded.config == tiny_config());
  CHECK(loaded.weights->config == loaded.config);
  CHECK(loaded.vocabulary->encode("1+2=3") == countdown_tokenizer()->encode("1+2=3"));
  check_equal(*loaded.weights, s.weights);
  CHECK(loaded.weights->head.is_same(loaded.weights->embedding));
  CHECK(names_in(s.path)
        == std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json",
                                    "tokenizer_config.json"});
}

TEST_CASE("a checkpoint keeps the precision that its weights have in memory", "[model]") {
  const saved s;
  const auto rounded = copy_weights(s.weights, dtype::bfloat16, "cpu");
  save_checkpoint(s.path, rounded, *countdown_tokenizer());
  CHECK(s.load(dtype::bfloat16).config.stored == dtype::bfloat16);
  check_equal(*s.load(dtype::bfloat16).weights, rounded);
  check_equal(*s.load(dtype::float32).weights, copy_weights(rounded, dtype::float32, "cpu"));
  CHECK(s.tensors().at("model.norm.weight").scalar_type() == at::kBFloat16);
}

TEST_CASE("a head of its own is stored and loaded", "[model]") {
  auto config = tiny_config();
  config.tie_embeddings = false;
  const saved s(config);
  CHECK(s.tensors().contains("lm_head.weight"));
  CHECK(at::equal(s.load().weights->head, s.weights.head));
}

TEST_CASE("half precision files are widened", "[model]") {
  const saved s;
  auto tensors = s.tensors();
  for (auto& [name, value] : tensors) value = value.to(at::kHalf);
  s.put(tensors);
  CHECK(at::equal(s.load().weights->embedding, s.weights.embedding.to(at::kHalf).to(at::kFloat)));
}

TEST_CASE("a checkpoint in several files is put together", "[model]") {
  const saved s;
  std::map<std::string, at::Tensor> parts[2];
  json map;
  int count = 0;
  for (const auto& [name, value] : s.tensors()) {
    const int part = count++ % 2;
    parts[part][name] = value;
    map[name] = part == 0 ? "part-0.safetensors" : "part-1.safetensors";
  }
  write_safetensors(s.path / "part-0.safetensors", parts[0]);
  write_safetensors(s.path / "part-1.safetensors", parts[1]);
  std::filesystem::remove(s.path / "model.safetensors");
  const auto* index = "c/model.safetensors.index.json";

  SECTION("whole") {
    s.folder.write(index, json{{"weight_map", map}}.dump());
    check_equal(*s.load().weights, s.weights);
  }
  SECTION("with a part missing") {
    std::filesystem::remove(s.path / "part-1.safetensors");
    s.folder.write(index, json{{"weight_map", map}}.dump());
    CHECK_THROWS_WITH(s.load(), Catch::Contains("part-1.safetensors: cannot be read"));
  }
  SECTION("with an index that leaves the folder") {
    map["model.norm.weight"] = "../part-0.safetensors";
    s.folder.write(index, json{{"weight_map", map}}.dump());
    CHECK_THROWS_WITH(s.load(), Catch::Contains("no file beside it"));
  }
  SECTION("with an index that says nothing") {
    s.folder.write(index, "{}");
    CHECK_THROWS_WITH(s.load(), Catch::Contains("weight_map"));
  }
}

TEST_CASE("a checkpoint with a missing file is refused by its name", "[model]") {
  const saved s;
  CHECK_THROWS_WITH(load_checkpoint(s.folder / "other", dtype::float32),
                    Catch::Contains("no such folder"));
  for (const auto* file :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    const saved t;
    std::filesystem::remove(t.path / file);
    CHECK_THROWS_AS(t.load(), bad_checkpoint);
    CHECK_THROWS_WITH(t.load(), Catch::Contains(file));
  }
}

TEST_CASE("weights that do not fit the config are refused by tensor name", "[model]") {
  const saved s;
  auto tensors = s.tensors();
  const std::string norm = "model.norm.weight", query = "model.layers.1.self_attn.q_proj.weight";
  auto refused = [&](const std::string& what) {
    CHECK_THROWS_AS(s.load(), bad_checkpoint);
    CHECK_THROWS_WITH(s.load(), Catch::Contains("model.safetensors: ") && Catch::Contains(what));
  };
  SECTION("a wrong shape") {
    tensors[query] = at::zeros({8, 16});
    s.put(tensors);
    refused(query + " is [8, 16] where config.json needs [16, 16]");
  }
  SECTION("a missing tensor") {
    tensors.erase(query);
    s.put(tensors);
    refused(query + " is missing");
  }
  SECTION("a tensor too many") {
    tensors["model.layers.0.self_attn.q_proj.bias"] = at::zeros({16});
    s.put(tensors);
    refused("q_proj.bias");
  }
  SECTION("whole numbers") {
    tensors[norm] = at::ones({16}, at::kInt);
    s.put(tensors);
    refused(norm + " does not hold floating-point numbers");
  }
  SECTION("not a number") {
    tensors[norm] = tensors[norm].clone();
    tensors[norm][3] = std::numeric_limits<float>::quiet_NaN();
    s.put(tensors);
    refused(norm + " has values that are not finite");
  }
  SECTION("infinity in bfloat16") {
    tensors[norm] = tensors[norm].to(at::kBFloat16);
    tensors[norm][3] = std::numeric_limits<float>::infinity();
    s.put(tensors);
    refused(norm + " has values that are not finite");
  }
  SECTION("cut off") {
    const auto file = s.path / "model.safetensors";
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
    refused("cut off");
  }
  SECTION("a config of another size") {
    s.put_config("intermediate_size", 32);
    refused("gate_proj");
  }
  SECTION("a config larger than any memory") {
    s.put_config("intermediate_size", 1 << 20);
    s.put_config("num_hidden_layers", 4096);
    refused("[1048576, 16]");
  }
}

TEST_CASE("parts that follow from others may be in the file", "[model]") {
  const saved s;
  auto tensors = s.tensors();
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({4});
  s.put(tensors);
  check_equal(*s.load().weights, s.weights);
}

TEST_CASE("a tokenizer that does not fit the config is refused", "[model]") {
  const saved s;
  SECTION("by size") {
    s.put_config("vocab_size", 70);
    CHECK_THROWS_WITH(s.load(),
                      Catch::Contains("vocab_size is 70 but the tokenizer has 68 tokens"));
  }
  SECTION("by special token") {
    s.put_config("eos_token_id", 2);
    CHECK_THROWS_WITH(s.load(), Catch::Contains("eos_token_id is 2 but the tokenizer's is 1"));
  }
  SECTION("but may know a special token that the config leaves open") {
    s.put_config("eos_token_id", nullptr);
    CHECK(s.load().config.eos_id == 1);
  }
}

TEST_CASE("saving replaces an earlier checkpoint as a whole", "[model]") {
  const saved s;
  s.folder.write("c/trainer.json", "old");
  const auto other = random_weights(tiny_config(), 2);
  save_checkpoint(s.path / "", other, *countdown_tokenizer(), [](const std::filesystem::path& to) {
    write_file_atomically(to / "extra.json", "new");
  });
  check_equal(*s.load().weights, other);
  CHECK(s.folder.read("c/extra.json") == "new");
  CHECK_FALSE(std::filesystem::exists(s.path / "trainer.json"));
  CHECK(names_in(s.folder.path()) == std::vector<std::string>{"c"});
}

TEST_CASE("a save that fails leaves the earlier checkpoint and nothing else", "[model]") {
  const saved s;
  const auto other = random_weights(tiny_config(), 2);
  SECTION("for want of space") {
    const file_limit limit(1000);
    CHECK_THROWS_AS(save_checkpoint(s.path, other, *countdown_tokenizer()), std::system_error);
  }
  SECTION("in the part of the caller") {
    auto fail = [](const std::filesystem::path&) { throw std::runtime_error("no"); };
    CHECK_THROWS_WITH(save_checkpoint(s.path, other, *countdown_tokenizer(), fail), "no");
  }
  check_equal(*s.load().weights, s.weights);
  CHECK(names_in(s.folder.path()) == std::vector<std::string>{"c"});
}

TEST_CASE("a checkpoint is not saved over a file", "[model]") {
  const scratch_folder folder;
  folder.write("c", "a file");
  CHECK_THROWS_AS(
      save_checkpoint(folder / "c", random_weights(tiny_config(), 1), *countdown_tokenizer()),
      std::system_error);
  CHECK(folder.read("c") == "a file");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"c"});
}

TEST_CASE("missing folders above a checkpoint are made", "[model]") {
  const scratch_folder folder;
  save_checkpoint(folder / "a/b/c", random_weights(tiny_config(), 1), *countdown_tokenizer());
  CHECK(load_checkpoint(folder / "a/b/c", dtype::float32).config == tiny_config());
}

TEST_CASE("a name lasts without the marks of temporaries in it", "[model]") {
  const auto folder = temporary_beside("/a/run");
  CHECK(lasting_name(temporary_beside(folder / "x.json")) == "/a/run/x.json");
  CHECK(lasting_name(folder) == "/a/run");
  CHECK(lasting_name("/a/run.tmp-1-2x") == "/a/run.tmp-1-2x");
}

TEST_CASE("what a killed process left under a temporary name is stepped over", "[model]") {
  const scratch_folder folder;
  // Names are numbered: this is the one that the next folder, or file, would take.
  auto taken = temporary_beside(folder / "c").string();
  const auto dash = taken.rfind('-') + 1;
  taken.replace(dash, std::string::npos, std::to_string(std::stoi(taken.substr(dash)) + 1));
  SECTION("a folder") {
    std::filesystem::create_directory(taken);
    const atomic_folder fresh(folder / "c");
    CHECK(fresh.path() != taken);
    CHECK(is_directory(fresh.path()));
  }
  SECTION("a file") {
    std::ofstream(taken) << "left";
    write_file_atomically(folder / "c", "new");
    CHECK(folder.read("c") == "new");
  }
  CHECK(std::filesystem::exists(taken));
}

TEST_CASE("a file is replaced whole or not at all", "[model]") {
  const scratch_folder folder;
  write_file_atomically(folder / "f", "old");
  {
    const file_limit limit(100);
    CHECK_THROWS_AS(write_file_atomically(folder / "f", std::string(1000, 'x')), std::system_error);
  }
  CHECK(folder.read("f") == "old");
  write_file_atomically(folder / "f", "new");
  CHECK(folder.read("f") == "new");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"f"});
  CHECK_THROWS_AS(write_file_atomically(folder / "none/f", "x"), std::system_error);
}
