#include "gpu_pool/blocks.hpp"

#include <stdexcept>

namespace banyan {

block_pool::block_pool(std::int32_t num_blocks, std::int32_t block_size) : block_size_(block_size) {
  if (num_blocks < 1 || block_size < 1)
    throw std::invalid_argument("a cache needs at least one block of one token");
  blocks_.resize(static_cast<std::size_t>(num_blocks));
  free_.reserve(blocks_.size());
  for (auto index = num_blocks; index-- > 0;) free_.push_back(index);
}

block_ref block_pool::take(std::uint32_t epoch) {
  if (free_.empty()) return {};
  const auto index = free_.back();
  free_.pop_back();
  blocks_[static_cast<std::size_t>(index)].epoch = epoch;
  return block_ref(*this, index);
}

void block_pool::set_cached(std::int32_t index, bool cached) {
  auto& block = blocks_[static_cast<std::size_t>(index)];
  if (block.cached == cached) return;
  block.cached = cached;
  if (block.uses == 1) cached ? ++num_idle_ : --num_idle_;
}

void block_pool::retain(std::int32_t index) {
  auto& block = blocks_[static_cast<std::size_t>(index)];
  if (block.cached && block.uses == 1) --num_idle_;
  ++block.uses;
}

void block_pool::release(std::int32_t index) {
  auto& block = blocks_[static_cast<std::size_t>(index)];
  --block.uses;
  if (block.cached && block.uses == 1) ++num_idle_;
  if (block.uses == 0) free_.push_back(index);
}

std::optional<std::string> block_pool::check(std::span<const std::uint32_t> held) const {
  std::vector<bool> is_free(blocks_.size());
  for (auto index : free_) {
    if (is_free[static_cast<std::size_t>(index)])
      return "block " + std::to_string(index) + " is twice in the free list";
    is_free[static_cast<std::size_t>(index)] = true;
  }
  std::size_t idle = 0;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    const auto name = [i] { return "block " + std::to_string(i); };
    if (block.uses != held[i])
      return name() + " counts " + std::to_string(block.uses) + " loans of "
             + std::to_string(held[i]);
    if (is_free[i] != (block.uses == 0)) return name() + " is both free and on loan, or neither";
    if (block.cached && block.uses == 0) return name() + " is cached and on loan to nobody";
    idle += block.cached && block.uses == 1;
  }
  if (idle != num_idle_) return "the number of idle blocks is wrong";
  return {};
}

} // namespace banyan
