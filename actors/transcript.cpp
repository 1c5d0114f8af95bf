#include "actors/transcript.hpp"

#include "actors/messages.hpp"

#include <algorithm>
#include <cassert>
#include <ranges>
#include <stdexcept>
#include <utility>

namespace banyan {
namespace {

constexpr std::string_view join_tag = "<Sub Searches>";

/// The first `n` of a sampled segment's tokens leave it and are returned; texts are the caller's.
segment split_front(segment& from, std::size_t n) {
  const auto take = [n](auto& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(n);
    std::remove_cvref_t<decltype(values)> front(values.begin(), middle);
    values.erase(values.begin(), middle);
    return front;
  };
  return {from.kind, {}, take(from.ids), take(from.logprobs), take(from.epochs)};
}

template <class T>
void append_to(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

} // namespace

transcript::transcript(const codec& c, std::string_view prompt)
    : codec_(&c), context_(c.begin), stretch_offset_(prompt.size()) {
  append_to(context_, c.encode(prompt));
  closed_.push_back({segment_kind::prompt, std::string(prompt), context_, {}, {}});
}

transcript::transcript(const codec& c, std::vector<segment> past, std::size_t spawn_offset)
    : codec_(&c), stretch_offset_(0) {
  for (std::size_t i = 0; i < past.size(); ++i) {
    auto& part = past[i];
    const bool last = i + 1 == past.size();
    if (last && part.kind == segment_kind::spawn && spawn_offset > stretch_offset_)
      remainder_ = part.text.substr(0, spawn_offset - stretch_offset_);
    if (part.kind != segment_kind::spawn) append_to(context_, part.ids);
    if (last && part.kind == segment_kind::written) {
      stretch_ = std::move(part);
      return;
    }
    if (part.kind != segment_kind::spawn) stretch_offset_ += part.text.size();
    closed_.push_back(std::move(part));
  }
}

std::string transcript::append(const decode_reply& reply) {
  if (reply.logprobs.size() != reply.ids.size() || reply.epochs.size() != reply.ids.size())
    throw std::invalid_argument("a decode reply without one logprob and one epoch per id");
  append_to(context_, reply.ids);
  append_to(stretch_.ids, reply.ids);
  append_to(stretch_.logprobs, reply.logprobs);
  append_to(stretch_.epochs, reply.epochs);
  auto whole = text_of(stretch_.ids.size());
  auto fresh = whole.substr(std::min(stretch_.text.size(), whole.size()));
  stretch_.text += fresh;
  return fresh;
}

/// Decoded behind the token before it: some vocabularies drop a space at the begin of a text.
std::string transcript::text_of(std::size_t num_tokens) const {
  const std::span all(context_);
  const auto begin = stretch_begin();
  const std::size_t before = begin > 0 ? 1 : 0;
  const auto left = codec_->decode(all.subspan(begin - before, before));
  return codec_->decode(all.subspan(begin - before, before + num_tokens)).substr(left.size());
}

/// How many tokens of the stretch end at or before byte `offset` of it.
std::size_t transcript::tokens_before(std::size_t offset) const {
  const auto counts = std::views::iota(std::size_t{1}, stretch_.ids.size() + 1);
  const auto past = std::ranges::partition_point(
      counts, [&](std::size_t n) { return text_of(n).size() <= offset; });
  return static_cast<std::size_t>(past - counts.begin());
}

void transcript::open_spawn(std::size_t offset) {
  assert(offset >= stretch_offset_);
  const auto begin = std::min(offset - stretch_offset_, stretch_.text.size());
  const auto kept = tokens_before(begin);
  const auto text = text_of(kept);
  remainder_ = stretch_.text.substr(text.size(), begin - text.size());

  context_.resize(stretch_begin() + kept);
  auto written = split_front(stretch_, kept);
  written.text = text;
  stretch_.text.erase(0, text.size());
  stretch_offset_ += text.size();
  closed_.push_back(std::move(written));
  closed_.push_back(std::exchange(stretch_, segment{segment_kind::written, {}, {}, {}, {}}));
  closed_.back().kind = segment_kind::spawn;
}

void transcript::join(std::string_view text) {
  assert(closed_.back().kind == segment_kind::spawn && stretch_.ids.empty());
  auto given = std::exchange(remainder_, {}) + std::string(text);
  auto ids = codec_->encode(given);
  append_to(context_, ids);
  stretch_offset_ += given.size();
  closed_.push_back({segment_kind::joined, std::move(given), std::move(ids), {}, {}});
}

std::vector<segment> transcript::segments() const {
  auto all = closed_;
  if (!stretch_.ids.empty()) all.push_back(stretch_);
  return all;
}

std::vector<std::int32_t> banned_ids(const codec& codec) {
  try {
    const auto ids = codec.encode(join_tag);
    // Only a token that stands for the whole tag may go: parts of it occur elsewhere.
    const bool whole = !ids.empty() && codec.decode({ids.data(), 1}).starts_with(join_tag);
    return whole ? std::vector{ids.front()} : std::vector<std::int32_t>{};
  } catch (const std::invalid_argument&) {
    return {}; // cannot be written in this vocabulary at all
  }
}

} // namespace banyan
