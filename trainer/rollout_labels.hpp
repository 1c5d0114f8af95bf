#pragma once

#include "trainer/rollout_plan.hpp"
#include "trainer/tree_store.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// The labels by which a store tells rollouts from the trees of others, who cannot give any of such
/// names. `run`: who made the weights; `asked`: a fingerprint of all that decides about the tree.
std::map<std::string, std::string> rollout_labels(const rollout_key&, const std::string& run,
                                                  const std::string& asked);

/// Finished trees of a store whose labels say that they belong to steps from `first` to `last`.
std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>>
known_rollouts(const tree_store&, std::int64_t first, std::int64_t last,
               const on_damage& = nullptr);

/// Is a finished tree in it that is no rollout?
bool holds_trees_of_others(const tree_store&);

/// How many trees in it are neither finished nor rollouts.
std::size_t num_unfinished_of_others(const tree_store&);

/// Drops the rollouts that nobody has finished, and no tree of others.
void forget_unfinished_rollouts(tree_store&);

} // namespace banyan
