#pragma once

#include "actors/config.hpp"
#include "actors/interfaces.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/fwd.hpp>

namespace banyan {

/// What an operator may want to read of a tree.
struct tree_news {
  enum class kind : std::uint8_t {
    accepted,
    recovered,  ///< it goes on after a restart
    left_alone, ///< an earlier version took it and nobody can begin it here; it stays stored
    finished,
    lost, ///< its session died; it goes on after the next start, where it is stored
  };
  kind what = kind::accepted;
  std::string id;
  std::shared_ptr<const tree> value; ///< the finished one
  std::string why;                   ///< of what it was lost
};

struct node_options {
  reasoning_options reasoning;   ///< without a `place`, threads are spread evenly over `pools`
  std::vector<named_pool> pools; ///< asked for their status; whoever made them ends them
  tree_store_actor store;        ///< gets every finished tree; may be null
  /// More wait for their turn, first come first served; those `stored_at_best` are not counted.
  std::size_t max_running_trees = 64;
  std::size_t max_queued_trees = 1 << 20;     ///< that wait; more are refused with `pool_full`
  std::uint64_t seed = 0;                     ///< of tree ids
  std::function<void(const tree_news&)> news; ///< called on the node's OS thread; may be null
};

/// The actor that takes work for this process: a session per tree. It lives until it is told
/// `atom::drain` (what runs is cancelled and answered first) or `atom::park` (what runs is left to
/// the store), or is ended by an exit message.
node_actor spawn_node(caf::actor_system&, node_options);

} // namespace banyan
