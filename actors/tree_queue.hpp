#pragma once

#include "actors/guarded_promise.hpp"
#include "actors/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace banyan {

/// A tree that waits for its turn.
struct queued_tree {
  tree_work work;
  std::uint64_t family = 0; ///< counts those that came: no two trees have the same
  std::optional<guarded_promise<finished_tree>> asker;
};

/// As a whole.
inline bool is_paused(const tree_work& work) { return work.halted.contains("/"); }

/// In an earlier process.
inline bool has_begun(const tree_work& work) {
  return !work.past.empty() && work.past.front().segments.size() > 1;
}

/// Trees in the order in which they came. However many they are and are paused, each is found at
/// once by its id, and so is the next.
class tree_queue {
public:
  /// No tree with that id waits already. One that was taken out has its place again.
  void add(queued_tree);

  /// Null if no tree with that id waits.
  const queued_tree* find(const std::string& id) const;

  /// Changes a tree that waits, but not its id. One that is paused as a whole is passed over.
  void change(const std::string& id, const std::function<void(tree_work&)>&);

  /// Takes a tree out; nothing if none with that id waits.
  std::optional<queued_tree> take(const std::string& id);

  /// Takes out the first tree that is not paused, if there is one.
  std::optional<queued_tree> take_next();

  std::vector<queued_tree> take_all();

  /// Drops the promises of those who wait for a tree; the trees stay.
  void release_askers();

  std::size_t size() const { return by_id_.size(); }
  std::size_t num_paused() const { return paused_.size(); }

private:
  using trees = std::map<std::uint64_t, queued_tree>; ///< by family
  trees& holder(std::uint64_t family) { return ready_.contains(family) ? ready_ : paused_; }

  trees ready_, paused_;
  std::unordered_map<std::string, std::uint64_t> by_id_; ///< the family
};

} // namespace banyan
