#include "solver/trace.hpp"

#include "solver/grammar.hpp"

namespace banyan {

// ---- root prompts
// ----------------------------------------------------------------------------------

std::string root_prompt(const problem& p, const conditioning& c) {
  std::string text;
  if (c.sub_call_budget) text += "Sub Call Budget: " + std::to_string(*c.sub_call_budget) + " ";
  if (c.token_budget) text += "Token Budget: " + std::to_string(*c.token_budget) + " ";
  return text + grammar::node_prompt("0", {p.target, p.numbers}, {});
}

std::optional<problem> parse_root_prompt(std::string_view text) {
  grammar::cursor in(text);
  for (const auto* budget : {"Sub Call Budget: ", "Token Budget: "})
    if (in.literal(budget) && !(in.integer<int>() && in.literal(" "))) return {};
  if (!in.literal("Moving to Node #0\nCurrent State: ")) return {};
  auto start = grammar::read_state(in);
  if (!start || !in.literal(", Operations: []\n") || !in.at_end()) return {};
  return problem{std::move(start->numbers), start->target};
}

} // namespace banyan
