#include "apps/banyand/completion_text.hpp"

#include <algorithm>

namespace banyan {

namespace {

/// Where in `text` the string `whole` begins, be it all there or not yet.
std::size_t beginning(std::string_view text, std::string_view whole) {
  if (const auto found = text.find(whole); found != text.npos) return found;
  for (auto n = std::min(text.size(), whole.size() - 1); n > 0; --n)
    if (text.ends_with(whole.substr(0, n))) return text.size() - n;
  return text.size();
}

/// Bytes at the end of `text` that are the beginning of a UTF-8 character and not all of it.
std::size_t half_character(std::string_view text) {
  for (std::size_t n = 1; n <= std::min<std::size_t>(3, text.size()); ++n) {
    const auto byte = static_cast<unsigned char>(text[text.size() - n]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > n ? n : 0;
  }
  return 0;
}

} // namespace

void told_text::append(const told_text& more) {
  text += more.text;
  tokens.insert(tokens.end(), more.tokens.begin(), more.tokens.end());
  logprobs.insert(logprobs.end(), more.logprobs.begin(), more.logprobs.end());
  offsets.insert(offsets.end(), more.offsets.begin(), more.offsets.end());
}

void completion_text::hold(const completion_piece& piece) {
  held_ += piece.text;
  for (std::size_t i = 0; i < piece.tokens.size(); ++i) {
    const auto logprob = i < piece.logprobs.size() ? piece.logprobs[i] : 0.F;
    tokens_.push_back({piece.tokens[i], logprob, next_token_});
    next_token_ += piece.tokens[i].size();
  }
}

std::size_t completion_text::certain() const {
  auto bytes = held_.size() - half_character(held_);
  for (const auto& stop : stops_) bytes = std::min(bytes, beginning(held_, stop));
  return bytes;
}

told_text completion_text::release(std::size_t bytes, bool all_tokens) {
  told_text out;
  out.text = held_.substr(0, bytes);
  held_.erase(0, bytes);
  told_ += bytes;
  while (!tokens_.empty() && (all_tokens || tokens_.front().begin < told_)) {
    out.tokens.push_back(std::move(tokens_.front().text));
    out.logprobs.push_back(tokens_.front().logprob);
    out.offsets.push_back(tokens_.front().begin);
    tokens_.pop_front();
  }
  return out;
}

told_text completion_text::echo(const completion_piece& prompt) {
  told_text out;
  out.text = prompt.text;
  out.tokens = prompt.tokens;
  for (std::size_t at = 0; const auto& token : prompt.tokens) {
    out.offsets.push_back(at);
    at += token.size();
  }
  told_ = next_token_ = out.text.size();
  return out;
}

told_text completion_text::take(const completion_piece& piece) {
  hold(piece);
  return release(certain(), false);
}

told_text completion_text::finish(const completion_piece& piece, const std::string& matched_stop) {
  hold(piece);
  const auto cut = matched_stop.empty() ? held_.npos : held_.find(matched_stop);
  return release(std::min(cut, held_.size()), cut == held_.npos);
}

} // namespace banyan
