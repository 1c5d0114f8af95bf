#pragma once

#include <filesystem>
#include <memory>

namespace banyan {

class tokenizer;

/// The kinds of tokenizer that a checkpoint folder may hold; `load_tokenizer` chooses. Both throw
/// `bad_checkpoint`.

/// `tokenizer.json` (and `tokenizer_config.json` for the special tokens): a WordLevel vocabulary
/// behind a Split into the longest pieces, nothing else.
std::shared_ptr<const tokenizer> load_phrase_tokenizer(const std::filesystem::path& folder);

/// `tokenizer.model` of SentencePiece.
std::shared_ptr<const tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& folder);

} // namespace banyan
