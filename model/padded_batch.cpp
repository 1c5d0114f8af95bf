#include "model/padded_batch.hpp"

#include "model/transformer.hpp"

#include <algorithm>
#include <bit>

namespace banyan {

padded_batch::padded_batch(const decode_batch& batch, std::int64_t tokens)
    : batch_(batch),
      tokens_(tokens),
      size_(numbers(tokens, static_cast<std::int64_t>(batch.blocks.size()))) {}

std::int64_t padded_batch::size_for(std::int64_t tokens) {
  const auto next = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(tokens)));
  const auto halfway = next / 4 * 3;
  return next > 8 && tokens <= halfway ? halfway : next;
}

std::size_t padded_batch::numbers(std::int64_t tokens, std::int64_t blocks) {
  return static_cast<std::size_t>(6 * tokens + 2 + blocks);
}

void padded_batch::write(std::int32_t* to) const {
  const auto tokens = static_cast<std::size_t>(tokens_);
  const auto put = [&to](const std::vector<std::int32_t>& values, std::size_t size,
                         std::int32_t padding) {
    const auto end = std::copy(values.begin(), values.end(), to);
    to += size;
    std::fill(end, to, padding);
  };
  put(batch_.ids, tokens, 0);
  put(batch_.positions, tokens, -1);
  put(batch_.slots, tokens, -1);
  put(batch_.starts, tokens + 1, batch_.starts.back());
  put(batch_.block_starts, tokens + 1, batch_.block_starts.back());
  put(batch_.wanted, tokens, 0);
  put(batch_.blocks, batch_.blocks.size(), 0);
}

step_batch padded_batch::at(const std::int32_t* begin) const {
  return {.ids = begin,
          .positions = begin + tokens_,
          .slots = begin + 2 * tokens_,
          .starts = begin + 3 * tokens_,
          .block_starts = begin + 4 * tokens_ + 1,
          .wanted = begin + 5 * tokens_ + 2,
          .blocks = begin + 6 * tokens_ + 2,
          .tokens = tokens_,
          .sequences = tokens_};
}

} // namespace banyan
