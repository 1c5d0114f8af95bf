#include "apps/banyan/commands.hpp"

#include "apps/common_options.hpp"
#include "apps/json_list.hpp"
#include "apps/json_parts.hpp"
#include "apps/task_range.hpp"
#include "apps/terminal.hpp"
#include "model/atomic_file.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

using json = nlohmann::ordered_json;

json files_of(const fs::path& folder) {
  std::vector<std::pair<std::string, std::uintmax_t>> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file())
      files.emplace_back(entry.path().filename().string(), entry.file_size());
  std::sort(files.begin(), files.end());
  json j = json::object();
  for (const auto& [name, bytes] : files) j[name] = bytes;
  return j;
}

json description(const fs::path& folder) {
  const auto config = read_config(folder / "config.json");
  const auto c = load_checkpoint(folder, config.stored).config;
  json j{{"model", folder.string()},
         {"parameters", num_parameters(c)},
         {"dtype", c.stored == dtype::bfloat16 ? "bfloat16" : "float32"},
         {"vocab_size", c.vocab_size},
         {"hidden_size", c.hidden_size},
         {"layers", c.num_layers},
         {"heads", c.num_heads},
         {"kv_heads", c.num_kv_heads},
         {"head_dim", c.head_dim},
         {"intermediate_size", c.intermediate_size},
         {"context", c.max_positions},
         {"tie_embeddings", c.tie_embeddings},
         {"bos_id", c.bos_id},
         {"eos_id", c.eos_id},
         {"pad_id", c.pad_id}};
  const auto range = read_task_range(folder);
  j["trained_for"] = range ? json::parse(to_json(*range)) : json();
  j["files"] = files_of(folder);
  return j;
}

/// The command line and the config say which options there are; a folder may also stand there
/// without its name.
bool parse(option_list& list, const common_options& common, fs::path& folder,
           const std::vector<std::string>& named, command_words words) {
  if (!list.parse(words)) return false;
  if (named.size() > 1 || (!named.empty() && !folder.empty()))
    throw bad_usage("'" + named.back() + "'", "there is a model already", "name one folder");
  read_config(list, common);
  if (!named.empty()) folder = named.front();
  if (folder.empty()) throw bad_usage("--model", "it is missing", "name a checkpoint folder");
  if (!fs::is_directory(folder))
    throw bad_environment(folder.string(), "no such folder", "give the folder of a checkpoint");
  return true;
}

struct copy_options {
  common_options common;
  fs::path from, out;
  std::vector<std::string> words;
  std::optional<dtype> precision; ///< nothing: as it is
};

/// Loads a checkpoint, which checks it, and writes it as our own trainer would.
int copy_checkpoint(const copy_options& o) {
  if (o.out.empty()) throw bad_usage("--out", "it is missing", "name the folder to write");
  if (fs::exists(o.out) && !fs::is_empty(o.out))
    throw bad_usage(o.out.string(), "there is something already", "give a new folder");
  const auto above = folder_of(o.out.has_filename() ? o.out : o.out.parent_path());
  if (!fs::exists(above))
    throw bad_environment(o.out.string(), "there is no folder " + above.string(),
                          "make it, or check the name");
  const auto stored = read_config(o.from / "config.json").stored;
  const auto model = load_checkpoint(o.from, o.precision.value_or(stored));
  const auto range = read_task_range(o.from);
  save_checkpoint(o.out, *model.weights, *model.vocabulary, [&range](const fs::path& folder) {
    if (range) write_file_atomically(folder / "banyan.json", to_json(*range));
  });
  print(o.common.json ? json_line(description(o.out)) + "\n" : o.out.string() + "\n");
  return exit_done;
}

int copy_command(command_words words, const std::string& name, const std::string& about,
                 const std::string& examples) {
  copy_options o;
  option_list list("model " + name, "DIR --out DIR [--dtype float32|bfloat16]", about, examples);
  list.path("model", o.from, "DIR", "the folder to read, also without the name");
  list.path("out", o.out, "DIR", "the folder to write");
  declare_dtype(list, "dtype", o.precision, "of the weights written; default: as they are");
  declare(list, o.common);
  list.positional(o.words);
  if (!parse(list, o.common, o.from, o.words, words)) return exit_done;
  return copy_checkpoint(o);
}

} // namespace

int model_info(command_words words) {
  common_options common;
  fs::path folder;
  std::vector<std::string> named;
  option_list list("model info", "DIR",
                   "Loads a checkpoint, checks that its parts fit each other and tells what it is.",
                   "  banyan model info models/countdown-3\n"
                   "  banyan model info --model runs/a/last --json\n");
  list.path("model", folder, "DIR", "checkpoint in Hugging Face layout, also without the name");
  declare(list, common);
  list.positional(named);
  if (!parse(list, common, folder, named, words)) return exit_done;
  const auto j = description(folder);
  if (common.json) return print(json_line(j) + "\n"), exit_done;
  for (const auto& [name, value] : j.items())
    print(name + std::string(20 - name.size(), ' ')
          + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n");
  return exit_done;
}

int model_import(command_words words) {
  return copy_command(
      words, "import",
      "Reads a Llama checkpoint in Hugging Face layout, checks that its parts fit each "
      "other\nand that all weights are finite, and writes it as a folder of Banyan's.",
      "  banyan model import ~/Llama-small --out models/llama-small\n");
}

int model_export(command_words words) {
  return copy_command(
      words, "export",
      "Writes a checkpoint, without a trainer's state, as a folder that `transformers` "
      "loads.",
      "  banyan model export runs/a/last --out countdown --dtype bfloat16\n");
}

} // namespace banyan
