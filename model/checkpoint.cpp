#include "model/checkpoint.hpp"

#include "model/atomic_folder.hpp"
#include "model/device.hpp"
#include "model/read_file.hpp"
#include "model/safetensors.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr const char* config_name = "config.json";
constexpr const char* weights_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

[[noreturn]] void fail(const fs::path& file, const std::string& what) {
  throw bad_checkpoint(file.string() + ": " + what);
}

/// A tensor and the file it came from, for messages.
struct found_tensor {
  at::Tensor value;
  fs::path file;
};
using found_tensors = std::map<std::string, found_tensor>;

void add_all(found_tensors& found, const fs::path& file) {
  for (auto& [name, value] : map_safetensors(file).tensors)
    if (!found.emplace(name, found_tensor{value, file}).second)
      fail(file, "holds " + name + " a second time; restore the checkpoint");
}

/// The files that an index names. They lie beside it: a name with a path in it is refused.
std::vector<fs::path> shards(const fs::path& index) {
  const auto parsed = json::parse(read_file(index), nullptr, false);
  const auto map = parsed.is_object() ? parsed.value("weight_map", json()) : json();
  if (!map.is_object() || map.empty())
    fail(index, "has no weight_map; restore it from the checkpoint");
  std::vector<fs::path> files;
  for (const auto& name : map) {
    if (!name.is_string()
        || fs::path(name.get<std::string>()).filename() != name.get<std::string>())
      fail(index, "names " + name.dump() + ", which is no file beside it; restore the checkpoint");
    files.push_back(index.parent_path() / name.get<std::string>());
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

found_tensors find_tensors(const fs::path& folder) {
  found_tensors found;
  if (exists(folder / weights_name))
    add_all(found, folder / weights_name);
  else if (exists(folder / index_name))
    for (const auto& file : shards(folder / index_name)) add_all(found, file);
  else if (exists(folder / "pytorch_model.bin"))
    fail(folder / weights_name, "missing; convert pytorch_model.bin to safetensors");
  else
    fail(folder / weights_name, "missing; restore it from the checkpoint");
  return found;
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text;
  for (const auto size : shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text.empty() ? "[]" : text + "]";
}

void check_tensor(const found_tensor& found, const named_tensor& wanted) {
  const auto& value = found.value;
  if (!value.sizes().equals(wanted.value.sizes()))
    fail(found.file, wanted.name + " is " + shape_text(value.sizes()) + " where " + config_name
                         + " needs " + shape_text(wanted.value.sizes())
                         + "; use the files of one checkpoint");
  if (!at::isFloatingType(value.scalar_type()))
    fail(found.file,
         wanted.name + " does not hold floating-point numbers; restore it from the checkpoint");
  if (!at::isfinite(value).all().item<bool>())
    fail(found.file,
         wanted.name + " has values that are not finite; go back to an earlier checkpoint");
}

// Parts of some files that follow from the rest: a tied head, and tables of rotary embeddings.
bool redundant(const std::string& name, const model_config& config) {
  return (config.tie_embeddings && name == "lm_head.weight")
         || name.ends_with(".rotary_emb.inv_freq");
}

void check_no_other(const found_tensors& found, const std::vector<named_tensor>& wanted,
                    const model_config& config) {
  std::set<std::string_view> known;
  for (const auto& tensor : wanted) known.insert(tensor.name);
  for (const auto& [name, tensor] : found)
    if (!known.contains(name) && !redundant(name, config))
      fail(tensor.file,
           "holds " + name + ", which this model has no place for; use a plain Llama model");
}

model_weights load_weights(const fs::path& folder, const model_config& config, dtype type,
                           const std::string& device) {
  const auto found = find_tensors(folder);
  // Shapes are compared with a model of no memory first: a wrong config.json must not allocate.
  const auto shapes = empty_weights(config, type, "meta");
  const auto wanted = named_views(shapes);
  for (const auto& tensor : wanted) {
    if (!found.contains(tensor.name))
      fail(found.empty() ? folder / weights_name : found.begin()->second.file,
           tensor.name + " is missing; use the files of one checkpoint");
    check_tensor(found.at(tensor.name), tensor);
  }
  check_no_other(found, wanted, config);
  const at::NoGradGuard no_grad;
  auto weights = empty_weights(config, type, device);
  for (auto& target : named_views(weights)) target.value.copy_(found.at(target.name).value);
  return weights;
}

/// The id both agree on; either may leave it to the other.
std::int32_t agreed(const char* field, std::int32_t config, std::int32_t tokenizer,
                    const fs::path& file) {
  if (config >= 0 && tokenizer >= 0 && config != tokenizer)
    fail(file, std::string(field) + " is " + std::to_string(config) + " but the tokenizer's is "
                   + std::to_string(tokenizer) + "; use the files of one checkpoint");
  return std::max(config, tokenizer);
}

void fit(model_config& config, const tokenizer& words, const fs::path& file) {
  if (config.vocab_size != words.vocab_size())
    fail(file, "vocab_size is " + std::to_string(config.vocab_size) + " but the tokenizer has "
                   + std::to_string(words.vocab_size())
                   + " tokens; use the files of one checkpoint");
  config.bos_id = agreed("bos_token_id", config.bos_id, words.bos_id(), file);
  config.eos_id = agreed("eos_token_id", config.eos_id, words.eos_id(), file);
  config.pad_id = agreed("pad_token_id", config.pad_id, words.pad_id(), file);
}

void write_weights(const fs::path& folder, const model_weights& weights) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, value] : named_views(weights)) tensors[name] = value;
  write_safetensors(folder / weights_name, tensors, {{"format", "pt"}}); // transformers asks for it
  auto config = weights.config;
  config.stored =
      weights.embedding.scalar_type() == at::kBFloat16 ? dtype::bfloat16 : dtype::float32;
  write_file_atomically(folder / config_name, config_json(config));
}

} // namespace

checkpoint load_checkpoint(const fs::path& folder, dtype type, const std::string& device) {
  require_device(device);
  if (!is_directory(folder)) fail(folder, "no such folder; give the folder of a checkpoint");
  checkpoint loaded;
  loaded.config = read_config(folder / config_name);
  loaded.vocabulary = load_tokenizer(folder);
  fit(loaded.config, *loaded.vocabulary, folder / config_name);
  loaded.weights =
      std::make_shared<const model_weights>(load_weights(folder, loaded.config, type, device));
  return loaded;
}

void save_checkpoint(const fs::path& folder, const model_weights& weights, const tokenizer& words,
                     const std::function<void(const fs::path&)>& also) {
  atomic_folder fresh(folder);
  write_weights(fresh.path(), weights);
  words.save(fresh.path());
  if (also) also(fresh.path());
  fresh.commit();
}

} // namespace banyan
