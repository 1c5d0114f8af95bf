#include "trainer/reward.hpp"

#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace banyan {

namespace {

/// N of a prompt that begins with "<what>: N "; nothing where it does not.
std::optional<std::uint64_t> allowed(std::string_view prompt, std::string_view what) {
  if (!prompt.starts_with(what)) return {};
  prompt.remove_prefix(what.size());
  std::uint64_t number = 0;
  std::from_chars(prompt.data(), prompt.data() + prompt.size(), number);
  return number;
}

bool obeys(const tree& t, std::uint64_t children) {
  if (const auto most = allowed(t.prompt, "Sub Call Budget: ")) return children <= *most;
  if (const auto most = allowed(t.prompt, "Token Budget: "))
    return budget_tokens(t.root().text().size()) <= *most;
  return true;
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
