#pragma once

#include "trainer/policy_learner.hpp"
#include "trainer/rollout_plan.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace banyan {

/// What the world around a step was like; all times in its own clock.
struct rollout_figures {
  double rollout_s = 0;       ///< from the first tree's start to the last one's end
  double wait_s = 0;          ///< the trainer had nothing to do
  double publish_ms = 0;      ///< handing the weights out and making them ready to decode
  double publish_wait_ms = 0; ///< from then until every pool had them: a pool ends its step first
  double swap_ms = 0;         ///< the longest switch on a pool's OS thread
  /// Share of the step's time in which pools did not decode; NaN: not known.
  double pool_idle = std::numeric_limits<double>::quiet_NaN();
};

/// One step as it is logged.
struct rl_progress {
  std::int64_t step = 0;
  double progress = 0; ///< 0..1, this step included
  double rate = 0, elapsed_s = 0, train_s = 0;
  std::uint64_t total_tokens = 0;        ///< trained on since the beginning
  std::optional<double> logprob_gap_max; ///< nothing: there was nothing to compare
  bool kl_measured = false;
  std::int64_t skipped = 0; ///< steps so far that did not count
  learn_figures learnt;
  rollout_figures around;
  evaluation trees = evaluation(); ///< over all trees of the step
  double reward_mean = 0;
  rollout_counts counts;
  std::string warning; ///< what was said since the step before; empty: nothing
};

/// The log's line (docs/interfaces.md, "Logs and records").
std::string to_json(const rl_progress&);

} // namespace banyan
