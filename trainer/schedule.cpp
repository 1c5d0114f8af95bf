#include "trainer/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace banyan {

double rate_at(const schedule_options& o, std::int64_t step, double progress) {
  const auto warm = o.warmup > 0 ? std::min(1.0, double(step + 1) / double(o.warmup)) : 1.0;
  const auto fallen =
      std::clamp((progress - o.decay_start) / std::max(1e-9, 1 - o.decay_start), 0.0, 1.0);
  switch (o.decay) {
  case decay_kind::none: return o.rate * warm;
  case decay_kind::linear: return o.rate * warm * (1 - fallen);
  case decay_kind::cosine: return o.rate * warm * 0.5 * (1 + std::cos(std::numbers::pi * fallen));
  }
  return o.rate;
}

} // namespace banyan
