#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace banyan {

/// A hold on the weights of one epoch; null: none, whoever has it goes with the newest.
using pinned_epoch = std::shared_ptr<const std::uint32_t>;

/// The epochs whose weights a pool has.
class epoch_list {
public:
  explicit epoch_list(std::uint32_t first);

  std::uint32_t newest() const { return *epochs_.back(); }
  std::uint32_t oldest() const { return *epochs_.front(); }

  /// `epoch` must be newer than all others.
  void add(std::uint32_t epoch);

  /// Null if it is not in the list.
  pinned_epoch pin(std::uint32_t epoch) const;

  /// Forgets those that nobody holds, but for the newest and `keep` older ones. Returns them.
  std::vector<std::uint32_t> forget(std::size_t keep);

  std::vector<std::uint32_t> all() const; ///< older ones first
  std::size_t size() const { return epochs_.size(); }

private:
  std::vector<pinned_epoch> epochs_; // rising
};

} // namespace banyan
