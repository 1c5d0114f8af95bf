#include "apps/banyan/commands.hpp"

#include "apps/common_options.hpp"
#include "apps/terminal.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

int model_info(command_words words) {
  common_options common;
  std::filesystem::path folder;
  option_list list("model info", "--model DIR",
                   "Loads a checkpoint, checks that its parts fit each other and tells what it is.",
                   "banyan model info --model models/countdown-3");
  list.path("model", folder, "DIR", "checkpoint in Hugging Face layout");
  declare(list, common);
  if (!list.parse(words)) return exit_done;
  if (folder.empty()) throw bad_usage("--model", "it is missing", "name a checkpoint folder");
  const auto from = load_checkpoint(folder, dtype::float32);
  const auto& c = from.config;
  const nlohmann::ordered_json j{{"model", folder.string()},
                                 {"parameters", num_parameters(c)},
                                 {"vocab_size", c.vocab_size},
                                 {"hidden_size", c.hidden_size},
                                 {"layers", c.num_layers},
                                 {"heads", c.num_heads},
                                 {"kv_heads", c.num_kv_heads},
                                 {"head_dim", c.head_dim},
                                 {"intermediate_size", c.intermediate_size},
                                 {"context", c.max_positions},
                                 {"dtype", c.stored == dtype::bfloat16 ? "bfloat16" : "float32"}};
  if (common.json) {
    print(j.dump() + "\n");
    return exit_done;
  }
  for (const auto& [name, value] : j.items())
    print(name + std::string(20 - name.size(), ' ')
          + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n");
  return exit_done;
}

} // namespace banyan
