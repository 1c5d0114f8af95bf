#include "gpu_pool/leases.hpp"

namespace banyan {

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
  const auto found = leases_.find({family_age, thread});
  if (found == leases_.end()) return {};
  return take(found);
}

std::optional<lease> lease_table::take_oldest() {
  if (leases_.empty()) return {};
  return take(leases_.begin());
}

std::vector<lease> lease_table::take_below(std::uint64_t family_age, const std::string& path) {
  std::vector<lease> taken;
  // In the order of strings a path comes right before everything below it: '/' is less than any
  // digit.
  auto next = leases_.lower_bound({family_age, path == "/" ? "" : path});
  while (next != leases_.end() && next->first.first == family_age
         && covers(path, next->first.second))
    taken.push_back(take(next++));
  return taken;
}

void lease_table::drop_unpinned() {
  for (auto next = leases_.begin(); next != leases_.end();) {
    const auto place = next++;
    if (!place->second.pin) take(place);
  }
}

bool lease_table::has(std::uint64_t family_age) const {
  const auto first = leases_.lower_bound({family_age, ""});
  return first != leases_.end() && first->first.first == family_age;
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
