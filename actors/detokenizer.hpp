#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace banyan {

struct codec;

/// Token ids to text as they come, each looked at once. What it says, laid end to end, is what
/// decoding all ids at once gives, behind the text in front of them: a token's text depends on what
/// stands before it, and a character may need several tokens. Tokens whose character is not whole
/// yet are held back; bytes that are no UTF-8 become U+FFFD, each one.
class detokenizer {
public:
  /// `behind_text`: the ids follow others that gave text. `codec` must outlive the detokenizer.
  detokenizer(const codec&, bool behind_text);

  /// The texts of the tokens that are whole by now, in the order of the tokens: first of those
  /// that were held back, then of `ids`.
  std::vector<std::string> add(std::span<const std::int32_t> ids);

  /// The texts of the tokens that are held back: none follows them.
  std::vector<std::string> finish();

private:
  std::string bytes_of(std::int32_t id);
  void release(std::vector<std::string>& to, bool last);

  const codec* codec_;
  bool behind_text_;
  std::vector<std::string> held_; ///< bytes of tokens; the first ends within a character
};

std::string laid_end_to_end(const std::vector<std::string>& texts);

} // namespace banyan
