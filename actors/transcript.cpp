#include "actors/transcript.hpp"

#include "actors/messages.hpp"

#include <algorithm>
#include <cassert>
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
    : codec_(&c), context_(c.begin), stretch_offset_(prompt.size()), decoding_(c, !prompt.empty()) {
  append_to(context_, c.encode(prompt));
  closed_.push_back({segment_kind::prompt, std::string(prompt), context_, {}, {}});
}

transcript::transcript(const codec& c, std::vector<segment> past, std::size_t spawn_offset)
    : codec_(&c), stretch_offset_(0), decoding_(c, false) {
  segment written{segment_kind::written, {}, {}, {}, {}};
  for (std::size_t i = 0; i < past.size(); ++i) {
    auto& part = past[i];
    const bool last = i + 1 == past.size();
    if (last && part.kind == segment_kind::spawn && spawn_offset > stretch_offset_)
      remainder_ = part.text.substr(0, spawn_offset - stretch_offset_);
    if (part.kind != segment_kind::spawn) append_to(context_, part.ids);
    if (last && part.kind == segment_kind::written) {
      written = std::move(part);
    } else {
      if (part.kind != segment_kind::spawn) stretch_offset_ += part.text.size();
      closed_.push_back(std::move(part));
    }
  }
  begin_stretch(std::move(written));
}

void transcript::begin_stretch(segment written) {
  stretch_ = std::move(written);
  decoding_ = detokenizer(*codec_, stretch_offset_ > 0);
  decoding_.add(stretch_.ids); // what it holds back is not in the text yet
}

std::string transcript::append(const decode_reply& reply) {
  if (reply.logprobs.size() != reply.ids.size() || reply.epochs.size() != reply.ids.size())
    throw std::invalid_argument("a decode reply without one logprob and one epoch per id");
  append_to(context_, reply.ids);
  append_to(stretch_.ids, reply.ids);
  append_to(stretch_.logprobs, reply.logprobs);
  append_to(stretch_.epochs, reply.epochs);
  auto fresh = laid_end_to_end(decoding_.add(reply.ids));
  stretch_.text += fresh;
  return fresh;
}

std::string transcript::close() {
  auto rest = laid_end_to_end(decoding_.finish());
  stretch_.text += rest;
  return rest;
}

void transcript::open_spawn(std::size_t offset) {
  assert(offset >= stretch_offset_);
  close();
  const auto begin = std::min(offset - stretch_offset_, stretch_.text.size());
  detokenizer again(*codec_, stretch_offset_ > 0);
  std::size_t kept = 0, size = 0; // tokens that end at or before the block, and bytes of their text
  for (const auto& text : again.add(stretch_.ids)) {
    if (size + text.size() > begin) break;
    size += text.size();
    ++kept;
  }
  remainder_ = stretch_.text.substr(size, begin - size);

  context_.resize(stretch_begin() + kept);
  auto spawned = std::move(stretch_);
  auto written = split_front(spawned, kept);
  written.text = spawned.text.substr(0, size);
  spawned.text.erase(0, size);
  spawned.kind = segment_kind::spawn;
  stretch_offset_ += size;
  closed_.push_back(std::move(written));
  closed_.push_back(std::move(spawned));
  begin_stretch({segment_kind::written, {}, {}, {}, {}});
}

void transcript::join(std::string_view text) {
  assert(closed_.back().kind == segment_kind::spawn && stretch_.ids.empty());
  auto given = std::exchange(remainder_, {}) + std::string(text);
  auto ids = (stretch_offset_ > 0 ? codec_->encode_continuation : codec_->encode)(given);
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
