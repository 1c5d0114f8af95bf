#include "gpu_pool/sequence_cache.hpp"

#include <algorithm>

namespace banyan {

namespace {

std::size_t common_prefix(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

} // namespace

sequence_cache::sequence_cache(std::int32_t num_blocks, std::int32_t block_size)
    : blocks_(num_blocks, block_size), prefixes_(blocks_) {}

std::size_t sequence_cache::blocks_for(std::size_t num_tokens) const {
  const auto size = static_cast<std::size_t>(blocks_.block_size());
  return (num_tokens + size - 1) / size;
}

bool sequence_cache::admit(sequence& s, std::size_t reserve) {
  auto known = leases_.take(s.family_age, s.request.thread);
  const bool leased = known && known->held.epoch == epoch_of(s) && adopt(s, std::move(*known));
  if (!leased) find_prefix(s);
  const auto wanted = blocks_for(s.request.ids.size());
  if (!make_room(wanted - s.held.blocks.size() + reserve)) {
    leased ? keep(s) : discard(s);
    return false;
  }
  while (s.held.blocks.size() < wanted) append_block(s.held);
  return true;
}

bool sequence_cache::adopt(sequence& s, lease known) {
  const auto common = std::min(common_prefix(known.ids, s.request.ids), s.num_reusable());
  const auto size = static_cast<std::size_t>(blocks_.block_size());
  auto& held = known.held;
  auto keep = common / size;
  held.computed = keep * size;
  if (common > held.computed && blocks_.uses(held.blocks[keep].index()) == 1) {
    held.computed = common;
    ++keep;
  }
  held.blocks.resize(keep);
  for (; held.published > keep; --held.published) held.last = held.last->parent;
  s.held = std::move(held);
  return s.held.computed > 0;
}

void sequence_cache::find_prefix(sequence& s) {
  s.held = {};
  s.held.epoch = epoch_of(s);
  const auto usable = std::span(s.request.ids).first(s.num_reusable());
  for (auto node : prefixes_.find_prefix(usable, s.held.epoch)) {
    s.held.blocks.push_back(node->block.share());
    s.held.last = node;
  }
  s.held.published = s.held.blocks.size();
  s.held.computed = s.held.published * static_cast<std::size_t>(blocks_.block_size());
}

bool sequence_cache::grow(sequence& s) {
  while (s.held.blocks.size() < blocks_for(s.request.ids.size())) {
    if (!make_room(1)) return false;
    append_block(s.held);
  }
  return true;
}

void sequence_cache::advance(sequence& s, std::size_t num_tokens) {
  s.held.computed += num_tokens;
  if (pure(s)) publish(s.request.ids, s.held, std::min(s.held.computed, s.prompt_size()));
}

void sequence_cache::keep(sequence& s) {
  if (!pure(s)) return discard(s);
  auto& ids = s.request.ids;
  lease kept{{ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(s.held.computed)}, {}, s.pin};
  s.held.blocks.resize(blocks_for(s.held.computed));
  std::swap(kept.held, s.held);
  leases_.keep(s.family_age, s.request.thread, std::move(kept));
}

void sequence_cache::retire(sequence& s) {
  if (pure(s)) publish(s.request.ids, s.held, s.held.computed);
  discard(s);
}

void sequence_cache::discard(sequence& s) { s.held = {}; }

void sequence_cache::release(std::uint64_t family_age, const std::string& path) {
  leases_.take_below(family_age, path);
}

void sequence_cache::renew(std::uint32_t epoch) {
  epoch_ = epoch;
  leases_.drop_unpinned();
}

bool sequence_cache::make_room(std::size_t num_blocks) {
  const auto available = [this] { return blocks_.num_free() + blocks_.num_idle(); };
  // Do not break leases that cannot help.
  if (available() + leases_.num_blocks() < num_blocks) return false;
  while (available() < num_blocks && leases_.size() > 0) break_oldest_lease();
  return available() >= num_blocks;
}

void sequence_cache::break_oldest_lease() {
  auto broken = leases_.take_oldest();
  publish(broken->ids, broken->held, broken->held.computed);
}

void sequence_cache::append_block(held_blocks& held) {
  // Memory that was never touched stays free while other places will do.
  if (!prefixes_.evict_gone() && blocks_.num_free() == 0) prefixes_.evict();
  held.blocks.push_back(blocks_.take(held.epoch));
}

void sequence_cache::publish(const std::vector<std::int32_t>& ids, held_blocks& held,
                             std::size_t num_tokens) {
  const auto size = static_cast<std::size_t>(blocks_.block_size());
  for (; (held.published + 1) * size <= num_tokens; ++held.published) {
    auto& block = held.blocks[held.published];
    const auto tokens = std::span(ids).subspan(held.published * size, size);
    held.last = &prefixes_.insert(held.last, tokens, block.share());
    // Where another sequence was first, its block replaces ours.
    if (held.last->block.index() != block.index()) block = held.last->block.share();
  }
}

std::optional<std::string> sequence_cache::check(std::vector<std::uint32_t> held) const {
  leases_.count(held);
  if (auto wrong = prefixes_.check(held)) return wrong;
  return blocks_.check(held);
}

} // namespace banyan
