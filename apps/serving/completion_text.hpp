#pragma once

#include "apps/serving/forest.hpp"

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// A stretch of a completion that its client may see.
struct told_text {
  struct token {
    completion_token what;
    std::size_t offset = 0; ///< in the completion's text
  };
  std::string text;
  std::vector<token> tokens;

  void append(told_text&&);
};

/// The text of one completion while its pieces come, each of whole characters. What may turn out to
/// be a stop string, which is not part of the text, is held back, and so is the token that it
/// begins in: the texts of tokens laid end to end are the text.
class completion_text {
public:
  explicit completion_text(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Takes the prompt, where it is to stand in front; before all pieces.
  told_text echo(completion_piece);

  /// Takes a piece and returns what is certain by now.
  told_text take(completion_piece);

  /// Takes the last piece and returns all that is left in front of `matched_stop`.
  told_text finish(completion_piece, const std::string& matched_stop);

private:
  void hold(completion_piece&&);
  std::size_t certain() const;
  std::size_t whole_tokens(std::size_t bytes) const;
  told_text release(std::size_t bytes, bool all_tokens);

  std::vector<std::string> stops_;
  std::string held_;
  std::deque<told_text::token> tokens_; ///< that begin in the held text
  std::size_t told_ = 0;                ///< bytes in front of the held text
  std::size_t next_token_ = 0;
};

} // namespace banyan
