#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// Text to token ids and back. Thread-safe once made.
class tokenizer {
public:
  virtual ~tokenizer() = default;

  /// No special tokens are added. Throws std::invalid_argument naming the first character that the
  /// vocabulary cannot express.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;

  /// The same for text that follows other text: some vocabularies put a space in front of a text,
  /// which would not be in the whole. Throws as `encode`.
  virtual std::vector<std::int32_t> encode_continuation(std::string_view text) const {
    return encode(text);
  }

  /// Special tokens (BOS, EOS, PAD) give no text. Ids outside the vocabulary throw
  /// std::out_of_range. For the Countdown vocabulary decode(encode(t)) == t.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  virtual std::int32_t vocab_size() const = 0;
  virtual std::int32_t bos_id() const = 0; ///< -1: none
  virtual std::int32_t eos_id() const = 0;
  virtual std::int32_t pad_id() const = 0;

  /// The bytes of one token as `decode` would print them in the middle of a text; not a whole
  /// character of a vocabulary that writes the rare ones byte by byte. Lives as long as this.
  virtual std::string_view piece(std::int32_t id) const = 0;

  /// Writes the tokenizer files of a checkpoint into the folder, in standard formats.
  virtual void save(const std::filesystem::path& folder) const = 0;
};

/// Banyan's own vocabulary for Countdown: one token a digit, each fixed phrase of the trace grammar
/// one token, greedy longest match. Kept as a Hugging Face `tokenizer.json` (WordLevel behind a
/// Split pre-tokenizer), so that `transformers` tokenises identically.
std::shared_ptr<const tokenizer> countdown_tokenizer();

/// Reads a checkpoint's tokenizer: `tokenizer.json` as written by `countdown_tokenizer()->save`, or
/// a SentencePiece `tokenizer.model`. Throws `bad_checkpoint`.
std::shared_ptr<const tokenizer> load_tokenizer(const std::filesystem::path& folder);

} // namespace banyan
