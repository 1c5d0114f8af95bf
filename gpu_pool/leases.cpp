#include "gpu_pool/leases.hpp"

#include <algorithm>

namespace banyan {

namespace {

/// The entries of a path and of all below it. In the order of strings a path comes right before
/// everything below it: '/' is less than any digit.
template <class Map>
auto below(Map& map, std::uint64_t family_age, const std::string& path) {
  const auto first = map.lower_bound({family_age, path == "/" ? "" : path});
  const auto last = std::find_if_not(first, map.end(), [&](const auto& entry) {
    return entry.first.first == family_age && covers(path, entry.first.second);
  });
  return std::pair(first, last);
}

} // namespace

bool covers(std::string_view path, std::string_view thread) {
  if (path == "/") return true;
  return thread.starts_with(path) && (thread.size() == path.size() || thread[path.size()] == '/');
}

std::optional<lease> lease_table::keep(std::uint64_t family_age, std::string thread, lease kept) {
  auto earlier = take(family_age, thread);
  num_blocks_ += kept.held.blocks.size();
  leases_.emplace(std::pair{family_age, std::move(thread)}, std::move(kept));
  return earlier;
}

std::optional<lease> lease_table::take(std::uint64_t family_age, const std::string& thread) {
  pins_.erase({family_age, thread});
  const auto found = leases_.find({family_age, thread});
  if (found == leases_.end()) return {};
  return take(found);
}

std::optional<lease> lease_table::take_oldest() {
  if (leases_.empty()) return {};
  const auto& [owner, oldest] = *leases_.begin();
  if (oldest.pin) pins_.emplace(owner, oldest.pin);
  return take(leases_.begin());
}

std::vector<lease> lease_table::take_below(std::uint64_t family_age, const std::string& path) {
  std::vector<lease> taken;
  const auto [first, last] = below(leases_, family_age, path);
  for (auto next = first; next != last;) taken.push_back(take(next++));
  const auto [first_pin, last_pin] = below(pins_, family_age, path);
  pins_.erase(first_pin, last_pin);
  return taken;
}

void lease_table::drop_unpinned() {
  for (auto next = leases_.begin(); next != leases_.end();) {
    const auto place = next++;
    if (!place->second.pin) take(place);
  }
}

bool lease_table::has(std::uint64_t family_age) const {
  const auto in = [=](const auto& map) {
    const auto first = map.lower_bound({family_age, ""});
    return first != map.end() && first->first.first == family_age;
  };
  return in(leases_) || in(pins_);
}

std::size_t lease_table::num_blocks(std::uint64_t family_age, const std::string& thread) const {
  const auto found = leases_.find({family_age, thread});
  return found == leases_.end() ? 0 : found->second.held.blocks.size();
}

void lease_table::count(std::span<std::uint32_t> held) const {
  for (auto& [thread, kept] : leases_)
    for (auto& block : kept.held.blocks) ++held[static_cast<std::size_t>(block.index())];
}

lease lease_table::take(table::iterator place) {
  auto taken = std::move(place->second);
  leases_.erase(place);
  num_blocks_ -= taken.held.blocks.size();
  return taken;
}

} // namespace banyan
