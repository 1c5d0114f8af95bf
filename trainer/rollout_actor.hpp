#pragma once

#include "actors/interfaces.hpp"
#include "trainer/rollout_plan.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <caf/fwd.hpp>

namespace banyan {

struct solve_request;

/// What happens to a tree that is being decoded when new weights come.
enum class in_flight : std::uint8_t {
  finish, ///< it ends with the weights it began with
  go_on,  ///< it goes on with the new ones; every token carries its epoch
};

struct rollout_actor_options {
  rollout_options plan;
  std::int64_t first_step = 0, last_step = 0; ///< steps [first, last) are rolled out
  std::int64_t staleness = 1;                 ///< see `sampling_epoch`
  std::uint32_t oldest_epoch = 0;             ///< the first whose weights pools have
  in_flight policy = in_flight::finish;
  std::size_t concurrency = 64; ///< trees at a time
  /// The tree to solve, with an id of its own; `epoch`: of the weights that it is begun with.
  std::function<solve_request(const rollout_key&, const rollout_source&, std::uint32_t epoch)>
      request_for;
  std::vector<std::pair<rollout_key, std::shared_ptr<const tree>>> known; ///< from before a restart
  problem_places places;                                                  ///< the same
};

/// Starts the actor that rolls out trees on a node. It ends when the node ends or has no pool left.
rollout_actor spawn_rollouts(caf::actor_system&, node_actor, rollout_actor_options);

} // namespace banyan
