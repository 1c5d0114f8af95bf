#include "trainer/reward.hpp"

#include "solver/tree.hpp"

#include <algorithm>

namespace banyan {

double reward_of(const tree& t, const reward_options& o) {
  if (!t.outcome.solved) return 0;
  const auto usage = t.usage();
  const auto children = usage.threads > 0 ? usage.threads - 1 : 0;
  const auto cost = o.total_tokens * double(usage.generated_tokens) / 1000
                    + o.critical_tokens * double(usage.critical_path_tokens) / 1000
                    + o.threads * double(children);
  return 1 - std::clamp(cost, 0.0, o.most);
}

} // namespace banyan
