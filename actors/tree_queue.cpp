#include "actors/tree_queue.hpp"

#include <cassert>
#include <functional>
#include <utility>

namespace banyan {

void tree_queue::add(queued_tree tree) {
  assert(!find(tree.work.request.id));
  by_id_.emplace(tree.work.request.id, tree.family);
  (is_paused(tree.work) ? paused_ : ready_).emplace(tree.family, std::move(tree));
}

const queued_tree* tree_queue::find(const std::string& id) const {
  const auto known = by_id_.find(id);
  if (known == by_id_.end()) return nullptr;
  const auto found = ready_.find(known->second);
  return found == ready_.end() ? &paused_.at(known->second) : &found->second;
}

void tree_queue::change(const std::string& id, const std::function<void(tree_work&)>& how) {
  const auto family = by_id_.at(id);
  auto tree = holder(family).extract(family);
  how(tree.mapped().work);
  (is_paused(tree.mapped().work) ? paused_ : ready_).insert(std::move(tree));
}

std::optional<queued_tree> tree_queue::take(const std::string& id) {
  const auto known = by_id_.extract(id);
  if (!known) return {};
  return std::move(holder(known.mapped()).extract(known.mapped()).mapped());
}

std::optional<queued_tree> tree_queue::take_next() {
  if (ready_.empty()) return {};
  return take(ready_.begin()->second.work.request.id);
}

std::vector<queued_tree> tree_queue::take_all() {
  ready_.merge(paused_);
  std::vector<queued_tree> all;
  for (auto& [family, tree] : ready_) all.push_back(std::move(tree));
  *this = {};
  return all;
}

void tree_queue::release_askers() {
  for (auto* some : {&ready_, &paused_})
    for (auto& [family, tree] : *some) tree.asker.reset();
}

} // namespace banyan
