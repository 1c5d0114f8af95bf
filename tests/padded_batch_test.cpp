#include "model/padded_batch.hpp"

#include "model/transformer.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

using namespace banyan;

namespace {

decode_batch two_sequences() {
  decode_batch b;
  b.ids = {11, 12, 13};
  b.positions = {4, 5, 0};
  b.slots = {84, 85, 16};
  b.starts = {0, 2, 3};
  b.blocks = {3, 5, 1};
  b.block_starts = {0, 2, 3};
  b.wanted = {1, 2};
  return b;
}

std::vector<std::int32_t> row(const std::int32_t* begin, std::size_t count) {
  return {begin, begin + count};
}

using numbers = std::vector<std::int32_t>;

} // namespace

TEST_CASE("few sizes occur, and little of them is padding", "[model]") {
  std::vector<std::int64_t> sizes;
  for (std::int64_t tokens = 1; tokens <= 1024; ++tokens) {
    const auto size = padded_batch::size_for(tokens);
    CHECK(size >= tokens);
    CHECK(padded_batch::size_for(size) == size);
    CHECK(size < 2 * tokens);
    if (tokens >= 8) CHECK(2 * size < 3 * tokens + 1);
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  CHECK(std::is_sorted(sizes.begin(), sizes.end()));
  CHECK(sizes.size() == 18);
  CHECK(padded_batch::size_for(3) == 4);
  CHECK(padded_batch::size_for(9) == 12);
  CHECK(padded_batch::size_for(13) == 16);
  CHECK(padded_batch::size_for(257) == 384);
}

TEST_CASE("a batch lies in one run of numbers, and what pads it does nothing", "[model]") {
  const auto batch = two_sequences();
  const padded_batch padded(batch, 5);
  std::vector<std::int32_t> all(padded.size(), 77);
  padded.write(all.data());
  const auto b = padded.at(all.data());
  CHECK(b.tokens == 5);
  CHECK(b.sequences == 5);
  CHECK(row(b.ids, 5) == numbers{11, 12, 13, 0, 0});
  CHECK(row(b.positions, 5) == numbers{4, 5, 0, -1, -1});
  CHECK(row(b.slots, 5) == numbers{84, 85, 16, -1, -1});
  CHECK(row(b.starts, 6) == numbers{0, 2, 3, 3, 3, 3});
  CHECK(row(b.block_starts, 6) == numbers{0, 2, 3, 3, 3, 3});
  CHECK(row(b.wanted, 2) == numbers{1, 2});
  CHECK(row(b.blocks, 3) == numbers{3, 5, 1});
  CHECK(b.blocks + 3 == all.data() + all.size());
  CHECK(padded_batch::numbers(5, 3) == all.size());
}

TEST_CASE("a batch of a size that occurs is not padded", "[model]") {
  auto batch = two_sequences();
  const padded_batch padded(batch, 3);
  std::vector<std::int32_t> all(padded.size());
  padded.write(all.data());
  const auto b = padded.at(all.data());
  CHECK(row(b.positions, 3) == batch.positions);
  CHECK(row(b.starts, 4) == numbers{0, 2, 3, 3});
}
