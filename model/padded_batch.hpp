#pragma once

#include "model/decode_step.hpp"

#include <cstddef>
#include <cstdint>

namespace banyan {

struct decode_batch;

/// A batch as one run of numbers, so that one copy takes it to a device, and padded with tokens
/// that do nothing, so that few sizes occur: what was recorded for a size serves every batch of it.
/// A batch of `tokens` tokens counts as that many sequences; those beyond its own are empty.
class padded_batch {
public:
  /// Lays out `batch`, padded to `tokens` (at least its own).
  padded_batch(const decode_batch& batch, std::int64_t tokens);

  /// The next size up: powers of two, and from 8 on what lies halfway between two of them.
  static std::int64_t size_for(std::int64_t tokens);

  /// Numbers in a batch of so many tokens, padding included, whose tables have so many blocks.
  static std::size_t numbers(std::int64_t tokens, std::int64_t blocks);

  std::int64_t tokens() const { return tokens_; }
  std::size_t size() const { return size_; } ///< numbers in all

  /// Fills `size()` numbers: padding has id 0, position -1 and slot -1.
  void write(std::int32_t* to) const;

  /// The batch where its numbers lie.
  step_batch at(const std::int32_t* begin) const;

private:
  const decode_batch& batch_;
  std::int64_t tokens_;
  std::size_t size_;
};

} // namespace banyan
