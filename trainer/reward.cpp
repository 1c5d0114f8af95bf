#include "trainer/reward.hpp"

#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace banyan {

namespace {

bool within(std::size_t taken, std::optional<int> budget) {
  return !budget || std::cmp_less_equal(taken, *budget);
}

/// The text counts without the condition in front of it, as demonstrations count theirs.
bool obeys(const tree& t, std::size_t children) {
  const auto front = read_opening(t.prompt);
  const auto text = t.root().text().size() - front.prefix;
  return within(children, front.asked.sub_call_budget)
         && within(budget_tokens(text), front.asked.token_budget);
}

} // namespace

double reward_of(const tree& t, const reward_options& o) {
  if (!t.outcome.solved) return 0;
  const auto usage = t.usage();
  const auto children = usage.threads > 0 ? usage.threads - 1 : 0;
  if (o.obey && !obeys(t, children)) return 0;
  const auto cost = o.total_tokens * double(usage.generated_tokens) / 1000
                    + o.critical_tokens * double(usage.critical_path_tokens) / 1000
                    + o.threads * double(children);
  return 1 - std::clamp(cost, 0.0, o.most);
}

} // namespace banyan
