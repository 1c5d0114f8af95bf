#pragma once

#include "model/tokenizer.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// A fixed list of pieces; text is cut from the left into the longest pieces. Ids are places in the
/// list.
class phrase_tokenizer : public tokenizer {
public:
  struct vocabulary {
    std::vector<std::string> pieces;           ///< by id; distinct, none empty
    std::int32_t bos = -1, eos = -1, pad = -1; ///< special: never found in text, and give none
  };

  explicit phrase_tokenizer(vocabulary);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::int32_t vocab_size() const override {
    return static_cast<std::int32_t>(words_.pieces.size());
  }
  std::int32_t bos_id() const override { return words_.bos; }
  std::int32_t eos_id() const override { return words_.eos; }
  std::int32_t pad_id() const override { return words_.pad; }
  std::string_view piece(std::int32_t id) const override;
  void save(const std::filesystem::path& folder) const override;

  /// The pieces that occur in text, longest first, as one regular expression.
  std::string pattern() const;

private:
  bool special(std::int32_t id) const;
  const std::string& text_of(std::int32_t id) const;
  std::int32_t longest_at(std::string_view rest) const; // -1: no piece begins there

  vocabulary words_;
  std::vector<std::int32_t> by_length_;                    // ids of text pieces, longest first
  std::array<std::vector<std::int32_t>, 256> starting_by_; // the same, by first byte
};

} // namespace banyan
