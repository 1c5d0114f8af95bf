#include "actors/tree_queue.hpp"

#include <algorithm>
#include <cassert>
#include <functional>
#include <iterator>
#include <utility>

namespace banyan {

void tree_queue::push_back(queued_tree tree) {
  assert(!find(tree.work.request.id));
  num_paused_ += is_paused(tree);
  trees_.push_back(std::move(tree));
  by_id_.emplace(trees_.back().work.request.id, std::prev(trees_.end()));
}

const queued_tree* tree_queue::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

void tree_queue::change(const std::string& id, const std::function<void(tree_work&)>& how) {
  auto& tree = *by_id_.at(id);
  num_paused_ -= is_paused(tree);
  how(tree.work);
  num_paused_ += is_paused(tree);
}

std::optional<queued_tree> tree_queue::take(const std::string& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return {};
  return take(found->second);
}

std::optional<queued_tree> tree_queue::take_next() {
  const auto first = std::ranges::find_if(trees_, std::not_fn(is_paused));
  if (first == trees_.end()) return {};
  return take(first);
}

queued_tree tree_queue::take(place at) {
  auto taken = std::move(*at);
  by_id_.erase(taken.work.request.id);
  trees_.erase(at);
  num_paused_ -= is_paused(taken);
  return taken;
}

std::vector<queued_tree> tree_queue::take_all() {
  std::vector<queued_tree> all(std::make_move_iterator(trees_.begin()),
                               std::make_move_iterator(trees_.end()));
  *this = {};
  return all;
}

void tree_queue::release_askers() {
  for (auto& tree : trees_) tree.asker.reset();
}

} // namespace banyan
