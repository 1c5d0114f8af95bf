#include "solver/restatement.hpp"

#include "solver/grammar.hpp"

#include <algorithm>

namespace banyan {

restatement::restatement(std::string_view start_node)
    : first_line_("Moving to Node #" + std::string(start_node)) {}

void restatement::read(std::string_view line) {
  if (complete_) return;
  const bool begins = line == first_line_;
  if (begins || !grammar::is_path_line(line)) text_.clear();
  if (!begins && text_.empty()) return;
  text_.append(line) += '\n';
  complete_ = grammar::is_goal(line);
}

std::optional<std::string> checked_solution(std::string_view solution,
                                            std::string_view start_node) {
  restatement told(start_node);
  for (auto rest = solution; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    told.read(line);
  }
  const auto whole = solution.size() + (solution.ends_with('\n') ? 0 : 1);
  if (!told.complete() || told.text().size() != whole) return {};
  return told.text();
}

} // namespace banyan
