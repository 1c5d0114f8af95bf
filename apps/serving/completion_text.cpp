#include "apps/serving/completion_text.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace banyan {

namespace {

/// Where in `text` the string `whole` begins, be it all there or not yet.
std::size_t beginning(std::string_view text, std::string_view whole) {
  if (const auto found = text.find(whole); found != text.npos) return found;
  for (auto n = std::min(text.size(), whole.size() - 1); n > 0; --n)
    if (text.ends_with(whole.substr(0, n))) return text.size() - n;
  return text.size();
}

} // namespace

void told_text::append(told_text&& more) {
  text += more.text;
  std::ranges::move(more.tokens, std::back_inserter(tokens));
}

void completion_text::hold(completion_piece&& piece) {
  held_ += piece.text;
  for (auto& token : piece.tokens) {
    const auto begin = std::exchange(next_token_, next_token_ + token.text.size());
    tokens_.push_back({std::move(token), begin});
  }
}

std::size_t completion_text::certain() const {
  auto bytes = held_.size();
  for (const auto& stop : stops_) bytes = std::min(bytes, beginning(held_, stop));
  return bytes;
}

/// Down to where a token ends.
std::size_t completion_text::whole_tokens(std::size_t bytes) const {
  for (const auto& [what, offset] : tokens_)
    if (const auto begin = offset - told_; begin < bytes && bytes < begin + what.text.size())
      return begin;
  return bytes;
}

told_text completion_text::release(std::size_t bytes, bool all_tokens) {
  told_text out;
  out.text = held_.substr(0, bytes);
  held_.erase(0, bytes);
  told_ += bytes;
  while (!tokens_.empty() && (all_tokens || tokens_.front().offset < told_)) {
    out.tokens.push_back(std::move(tokens_.front()));
    tokens_.pop_front();
  }
  if (!all_tokens && !out.tokens.empty()) {
    auto& [what, offset] = out.tokens.back();
    what.text.resize(std::min(what.text.size(), told_ - offset)); // a stop string began in it
  }
  return out;
}

told_text completion_text::echo(completion_piece prompt) {
  hold(std::move(prompt));
  next_token_ = held_.size();
  return release(held_.size(), true);
}

told_text completion_text::take(completion_piece piece) {
  hold(std::move(piece));
  return release(whole_tokens(certain()), false);
}

told_text completion_text::finish(completion_piece piece, const std::string& matched_stop) {
  hold(std::move(piece));
  const auto cut = matched_stop.empty() ? held_.npos : held_.find(matched_stop);
  return release(std::min(cut, held_.size()), cut == held_.npos);
}

} // namespace banyan
