#include "trainer/reward.hpp"

#include "solver/trace.hpp"
#include "solver/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>

namespace banyan {

namespace {

/// N of "<what>: N " in front of a prompt's first line; the most there is where nothing is asked.
std::uint64_t allowed(std::string_view prompt, std::string_view what) {
  auto number = std::numeric_limits<std::uint64_t>::max();
  prompt = prompt.substr(0, prompt.find('\n'));
  const auto at = prompt.find(what);
  if (at == prompt.npos) return number;
  prompt.remove_prefix(at + what.size());
  std::from_chars(prompt.data(), prompt.data() + prompt.size(), number);
  return number;
}

/// Bytes of the root's text without the condition in front of it, as demonstrations count.
std::size_t unconditioned_bytes(const tree& t) {
  const auto condition = t.prompt.find("Moving to Node");
  return t.root().text().size() - (condition == t.prompt.npos ? 0 : condition);
}

bool obeys(const tree& t, std::uint64_t children) {
  return children <= allowed(t.prompt, "Sub Call Budget: ")
         && budget_tokens(unconditioned_bytes(t)) <= allowed(t.prompt, "Token Budget: ");
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
