#pragma once

#include "model/config.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace banyan {

class tokenizer;
struct model_weights;

/// A model in Hugging Face layout: `config.json`, `model.safetensors`, tokenizer files.
struct checkpoint {
  model_config config;
  std::shared_ptr<const tokenizer> vocabulary;
  std::shared_ptr<const model_weights> weights;
};

/// Loads a checkpoint folder; weights are converted to the precision and put on the device. Weights
/// may lie in one file or, with an index, in several. Checks that config, weights (names, shapes,
/// finite values) and tokenizer (vocabulary size, special ids) fit each other; a special id that
/// only one of config and tokenizer knows is taken from that one. Throws `bad_checkpoint` naming
/// file and remedy.
checkpoint load_checkpoint(const std::filesystem::path& folder, dtype,
                           const std::string& device = "cpu");

/// Writes a folder atomically, weights in the precision that they have in memory: everything goes
/// into
/// "<folder>.tmp-…" first, is synced, and then takes the folder's name; `also` may write further
/// files into the temporary folder before that. An existing folder of the name is replaced only
/// after the new one is complete. Throws std::system_error; nothing earlier is harmed.
void save_checkpoint(const std::filesystem::path& folder, const model_weights&, const tokenizer&,
                     const std::function<void(const std::filesystem::path&)>& also = {});

/// Writes a file so that it is either the old or the new one: temporary beside it, synced, renamed.
void write_file_atomically(const std::filesystem::path&, std::string_view bytes);

} // namespace banyan
