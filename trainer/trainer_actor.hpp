#pragma once

#include "actors/interfaces.hpp"
#include "model/config.hpp"
#include "trainer/rl.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <caf/fwd.hpp>

namespace banyan {

/// A pool that new weights go to.
struct weights_target {
  pool_actor pool;
  std::string device = "cpu";
  dtype precision = dtype::float32;
};

struct trainer_actor_options {
  std::unique_ptr<rl_run> run;
  rollout_actor rollouts;
  std::vector<weights_target> pools; ///< that have the first of `run->published()` already
  /// OS threads that LibTorch uses for training on the CPU; 0: as it likes.
  int os_threads = 0;
  std::function<void(std::string_view)> log; ///< one line each; may be null
  /// Told once, from the trainer's OS thread: an empty text, or why the run broke off; and how far
  /// it came.
  std::function<void(const std::string&, const run_result&)> on_end;
};

/// Starts the trainer on its own OS thread: first every pool gets the weights that open steps need,
/// then rollouts are asked for step after step. Weights are copied to each device and made ready
/// before a pool hears of them, so a pool only switches. `detached` false is for tests under a
/// deterministic scheduler.
trainer_actor spawn_trainer(caf::actor_system&, trainer_actor_options, bool detached = true);

} // namespace banyan
