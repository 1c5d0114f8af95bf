#pragma once

#include "trainer/rollout_plan.hpp"
#include "trainer/weight_makers.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

struct model_weights;

/// Weights of an epoch, which nobody changes any more.
struct published_weights {
  std::uint32_t epoch = 0;
  std::shared_ptr<const model_weights> weights;
};

/// What a run remembers beside its weights, its optimiser and its course, for steps that are open.
struct rl_memory {
  std::deque<published_weights> epochs; ///< that steps are sampled with, oldest first
  problem_places places;                ///< before the step
  weight_makers makers;

  /// Keeps the newest `count` epochs.
  void forget_epochs(std::size_t count);

  /// Into a checkpoint's folder, the weights of earlier epochs, and into its state the rest. Throws
  /// std::system_error.
  void save(const std::filesystem::path& folder, nlohmann::ordered_json& state) const;

  /// What was saved; `present` are the weights of the newest epoch, that of `step`. Throws
  /// bad_checkpoint, and JSON's exceptions and std::domain_error where the state is damaged.
  static rl_memory read(const std::filesystem::path& folder, const nlohmann::ordered_json& state,
                        std::int64_t step, std::shared_ptr<const model_weights> present);
};

} // namespace banyan
