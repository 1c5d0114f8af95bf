#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

class block_pool;

/// A loan of one cache block; the last loan of a block that ends gives it back. Must not outlive
/// the pool.
class block_ref {
public:
  block_ref() = default;
  block_ref(block_ref&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), index_(other.index_) {}
  block_ref& operator=(block_ref&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(index_, other.index_);
    return *this;
  }
  ~block_ref();

  /// One more loan of the same block.
  block_ref share() const;
  std::int32_t index() const { return index_; }
  explicit operator bool() const { return pool_ != nullptr; }

private:
  friend class block_pool;
  block_ref(block_pool& pool, std::int32_t index);

  block_pool* pool_ = nullptr;
  std::int32_t index_ = -1;
};

/// Who owns which block of a `kv_cache`: a free list and a count of loans per block. Every
/// operation takes constant time and allocates nothing.
class block_pool {
public:
  /// `block_size`: tokens per block. Both at least 1, else std::invalid_argument.
  block_pool(std::int32_t num_blocks, std::int32_t block_size);
  block_pool(const block_pool&) = delete;
  block_pool& operator=(const block_pool&) = delete;

  /// The first loan of a block whose contents weights of this epoch will make; empty if none is
  /// free.
  block_ref take(std::uint32_t epoch);

  /// Marks a block as kept by the prefix cache; `num_idle` counts those that nobody else uses.
  void set_cached(std::int32_t index, bool cached);

  std::int32_t num_blocks() const { return static_cast<std::int32_t>(blocks_.size()); }
  std::int32_t block_size() const { return block_size_; }
  std::size_t num_free() const { return free_.size(); }
  std::size_t num_idle() const { return num_idle_; }
  std::uint32_t uses(std::int32_t index) const { return at(index).uses; }
  std::uint32_t epoch(std::int32_t index) const { return at(index).epoch; }

  /// What is wrong, or nothing. `held[i]`: loans of block i that somebody can name; they must be
  /// all.
  std::optional<std::string> check(std::span<const std::uint32_t> held) const;

private:
  friend class block_ref;
  struct block {
    std::uint32_t uses = 0, epoch = 0;
    bool cached = false;
  };

  const block& at(std::int32_t index) const { return blocks_[static_cast<std::size_t>(index)]; }
  void retain(std::int32_t index);
  void release(std::int32_t index);

  std::int32_t block_size_;
  std::size_t num_idle_ = 0;
  std::vector<block> blocks_;
  std::vector<std::int32_t> free_; // last in, first out: the block used last is the warmest
};

inline block_ref::block_ref(block_pool& pool, std::int32_t index) : pool_(&pool), index_(index) {
  pool.retain(index);
}
inline block_ref::~block_ref() {
  if (pool_) pool_->release(index_);
}
inline block_ref block_ref::share() const { return block_ref(*pool_, index_); }

} // namespace banyan
