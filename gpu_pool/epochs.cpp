#include "gpu_pool/epochs.hpp"

#include <algorithm>
#include <cassert>

namespace banyan {

epoch_list::epoch_list(std::uint32_t first)
    : epochs_{std::make_shared<const std::uint32_t>(first)} {}

void epoch_list::add(std::uint32_t epoch) {
  assert(epoch > newest());
  epochs_.push_back(std::make_shared<const std::uint32_t>(epoch));
}

pinned_epoch epoch_list::pin(std::uint32_t epoch) const {
  const auto found = std::ranges::find(epochs_, epoch, [](const pinned_epoch& e) { return *e; });
  return found == epochs_.end() ? nullptr : *found;
}

std::vector<std::uint32_t> epoch_list::forget(std::size_t keep) {
  std::vector<std::uint32_t> forgotten;
  const auto kept = std::min(keep + 1, epochs_.size());
  std::erase_if(epochs_, [&, left = epochs_.size() - kept](const pinned_epoch& e) mutable {
    if (left == 0) return false;
    --left;
    if (e.use_count() > 1) return false;
    forgotten.push_back(*e);
    return true;
  });
  return forgotten;
}

std::vector<std::uint32_t> epoch_list::all() const {
  std::vector<std::uint32_t> list;
  for (const auto& e : epochs_) list.push_back(*e);
  return list;
}

} // namespace banyan
