#include "gpu_pool/prefix_cache.hpp"

#include <algorithm>

namespace banyan {

namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9fb21c651e98df25u;
  return hash ^ (hash >> 29);
}

} // namespace

prefix_cache::prefix_cache(block_pool& blocks) : blocks_(blocks) {}

prefix_cache::~prefix_cache() {
  for (auto& node : nodes_) blocks_.set_cached(node->block.index(), false);
}

std::size_t prefix_cache::by_key::operator()(const key& k) const {
  auto hash = mix(reinterpret_cast<std::uintptr_t>(k.parent), k.epoch + 1);
  for (auto token : k.tokens) hash = mix(hash, static_cast<std::uint64_t>(token));
  return hash;
}

std::size_t prefix_cache::by_key::operator()(const std::unique_ptr<prefix_node>& node) const {
  return (*this)(as_key(node));
}

bool prefix_cache::same(const key& a, const key& b) {
  return a.parent == b.parent && a.epoch == b.epoch && std::ranges::equal(a.tokens, b.tokens);
}

prefix_node* prefix_cache::find(const key& wanted) {
  const auto found = nodes_.find(wanted);
  return found == nodes_.end() ? nullptr : found->get();
}

void prefix_cache::touch(prefix_node& node) {
  node.last_used = now_;
  if (node.num_children == 0) leaves_.splice(leaves_.end(), leaves_, node.place);
}

std::vector<prefix_node*> prefix_cache::find_prefix(std::span<const std::int32_t> ids,
                                                    std::uint32_t epoch) {
  const auto block_size = static_cast<std::size_t>(blocks_.block_size());
  std::vector<prefix_node*> found;
  ++now_;
  for (prefix_node* parent = nullptr; ids.size() >= block_size; ids = ids.subspan(block_size)) {
    parent = find({parent, epoch, ids.first(block_size)});
    if (!parent) break;
    touch(*parent);
    found.push_back(parent);
  }
  return found;
}

prefix_node& prefix_cache::insert(prefix_node* parent, std::span<const std::int32_t> tokens,
                                  block_ref block) {
  ++now_;
  const auto epoch = blocks_.epoch(block.index());
  if (auto known = find({parent, epoch, tokens})) {
    touch(*known);
    return *known;
  }
  auto node = std::make_unique<prefix_node>();
  node->parent = parent;
  node->tokens.assign(tokens.begin(), tokens.end());
  node->epoch = epoch;
  node->last_used = now_;
  blocks_.set_cached(block.index(), true);
  node->block = std::move(block);
  node->place = leaves_.insert(leaves_.end(), node.get());
  if (parent) {
    if (parent->num_children++ == 0) leaves_.erase(parent->place);
    parent->last_used = now_;
  }
  return **nodes_.insert(std::move(node)).first;
}

bool prefix_cache::evict() {
  if (blocks_.num_idle() == 0) return false;
  ++now_;
  for (auto left = leaves_.size(); left > 0; --left) {
    auto& oldest = *leaves_.front();
    if (blocks_.uses(oldest.block.index()) == 1) {
      remove(oldest);
      return true;
    }
    touch(oldest); // somebody uses it right now
  }
  return false;
}

bool prefix_cache::evict_gone() {
  if (leaves_.empty()) return false;
  auto& oldest = *leaves_.front();
  if (oldest.epoch >= oldest_epoch_) return false;
  if (blocks_.uses(oldest.block.index()) == 1) {
    remove(oldest);
    return true;
  }
  ++now_;
  touch(oldest);
  return false;
}

void prefix_cache::become_leaf(prefix_node& node) {
  const auto younger = std::ranges::find_if(
      leaves_, [&node](const prefix_node* leaf) { return leaf->last_used > node.last_used; });
  node.place = leaves_.insert(younger, &node);
}

void prefix_cache::remove(prefix_node& node) {
  leaves_.erase(node.place);
  if (auto parent = node.parent; parent && --parent->num_children == 0) become_leaf(*parent);
  blocks_.set_cached(node.block.index(), false);
  nodes_.erase(nodes_.find(key{node.parent, node.epoch, node.tokens}));
}

std::optional<std::string> prefix_cache::check(std::span<std::uint32_t> held) const {
  std::unordered_set<const prefix_node*> alive;
  for (auto& node : nodes_) alive.insert(node.get());
  std::size_t num_leaves = 0, num_links = 0, num_children = 0;
  for (auto& node : nodes_) {
    ++held[static_cast<std::size_t>(node->block.index())];
    if (node->parent && !alive.contains(node->parent)) return "a node outlived its parent";
    if (node->epoch != blocks_.epoch(node->block.index()))
      return "a node's block has another epoch";
    num_leaves += node->num_children == 0;
    num_links += node->parent != nullptr;
    num_children += node->num_children;
  }
  if (num_links != num_children) return "children are counted wrong";
  if (num_leaves != leaves_.size()) return "the list of leaves is wrong";
  if (!std::ranges::is_sorted(leaves_, {}, &prefix_node::last_used))
    return "leaves are out of order";
  return {};
}

} // namespace banyan
