#pragma once

#include "apps/decoding_options.hpp"
#include "apps/train_options.hpp"
#include "trainer/reward.hpp"
#include "trainer/rl.hpp"
#include "trainer/rollout_actor.hpp"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// Everything about `banyan train rl`. Without a model it starts from the best shipped one.
struct train_rl_options : train_options {
  rl_options rl;
  rollout_options rollouts;
  reward_options reward;
  decoding_options decoding; ///< sampling, conditioning, join and budget of rollouts
  in_flight policy = in_flight::finish;
  std::vector<std::string> pool_devices; ///< empty: where training is
  dtype pool_precision = dtype::float32;
  std::filesystem::path problems;                          ///< empty: drawn on the fly
  int num_numbers = 3;                                     ///< of problems that are drawn
  std::optional<std::pair<int, int>> children_between;     ///< `Sub Call Budget`, drawn per problem
  std::optional<std::pair<int, int>> token_budget_between; ///< `Token Budget`, likewise
  double condition_share = 1; ///< how often a condition that was asked for is put there
  int pool_threads = 0;       ///< OS threads; 0: half of the cores
  std::uint64_t store_megabytes = 512;
  std::string listen; ///< where to serve the live node over HTTP; empty: nowhere

  train_rl_options();
};

option_list declare(train_rl_options&);

/// The first and the last multiple of 512 within limits, as multiples; the first is the larger one
/// where there is none.
std::pair<int, int> token_budget_bins(const std::pair<int, int>& limits);

/// See `resolved_config`.
void make_absolute(train_rl_options&);

/// See `parse(option_list&, train_sft_options&, …)`.
bool parse(option_list&, train_rl_options&, std::span<const std::string> words);

} // namespace banyan
