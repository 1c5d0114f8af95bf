#include "trainer/reward.hpp"

#include "solver/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace banyan {

namespace {

/// Children that the prompt allows; nothing where it does not say.
std::optional<std::uint32_t> children_allowed(std::string_view prompt) {
  constexpr std::string_view budget = "Sub Call Budget: ";
  if (!prompt.starts_with(budget)) return {};
  prompt.remove_prefix(budget.size());
  std::uint32_t allowed = 0;
  std::from_chars(prompt.data(), prompt.data() + prompt.size(), allowed);
  return allowed;
}

} // namespace

double reward_of(const tree& t, const reward_options& o) {
  if (!t.outcome.solved) return 0;
  const auto usage = t.usage();
  const auto children = usage.threads > 0 ? usage.threads - 1 : 0;
  if (o.obey && children > children_allowed(t.prompt).value_or(children)) return 0;
  const auto cost = o.total_tokens * double(usage.generated_tokens) / 1000
                    + o.critical_tokens * double(usage.critical_path_tokens) / 1000
                    + o.threads * double(children);
  return 1 - std::clamp(cost, 0.0, o.most);
}

} // namespace banyan
