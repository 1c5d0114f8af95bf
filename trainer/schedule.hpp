#pragma once

#include <cstdint>

namespace banyan {

enum class decay_kind : std::uint8_t { none, linear, cosine };

/// The learning rate over a run: rises over the warm-up, is held, falls to 0 at the end.
struct schedule_options {
  double rate = 4e-3;        ///< after the warm-up
  std::int64_t warmup = 100; ///< steps from 0 to `rate`
  decay_kind decay = decay_kind::linear;
  double decay_start = 0.2; ///< share of the run after which the rate falls
};

/// The learning rate at a step; `progress` runs from 0 to 1 over the run.
double rate_at(const schedule_options&, std::int64_t step, double progress);

} // namespace banyan
