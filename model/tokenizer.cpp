#include "model/tokenizer.hpp"

#include "model/config.hpp"
#include "model/tokenizer_formats.hpp"

namespace banyan {

std::shared_ptr<const tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  if (exists(folder / "tokenizer.model")) return load_sentencepiece_tokenizer(folder);
  if (exists(folder / "tokenizer.json")) return load_phrase_tokenizer(folder);
  throw bad_checkpoint(folder.string()
                       + ": no tokenizer.json and no tokenizer.model in it; copy the "
                         "tokenizer files of the checkpoint there");
}

} // namespace banyan
