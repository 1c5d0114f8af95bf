#include "solver/node_table.hpp"

#include "solver/grammar.hpp"

#include <utility>

namespace banyan {

namespace {

verdict::malformed refuse(std::string_view what, std::string_view node, std::string_view found) {
  return {std::string(what) + " of node " + grammar::quoted(node) + ": " + grammar::quoted(found)};
}

} // namespace

node_table::node_table() : descriptions_(1) {}

std::size_t node_table::find(std::string_view node) const {
  const auto found = last_.find(node);
  return found == last_.end() ? 0 : found->second;
}

void node_table::add(std::string_view node, description d) {
  last_.insert_or_assign(std::string(node), descriptions_.size());
  descriptions_.push_back(std::move(d));
}

void node_table::read(std::string_view line) {
  const auto moved_to = std::exchange(moved_to_, {});
  grammar::cursor in(line);
  if (in.literal("Moving to Node ")) {
    const auto node = grammar::read_node(in);
    if (!node || !in.at_end()) return;
    moved_to_ = *node;
    current_ = find(*node);
  } else if (in.literal("Current State: ")) {
    if (!moved_to.empty()) read_state(moved_to, in.rest());
  } else if (in.literal("Generated Node ")) {
    read_generated(in.rest());
  }
}

void node_table::read_state(std::string_view node, std::string_view rest) {
  grammar::cursor in(rest);
  description d;
  d.state = in.until(", Operations: ").value_or("");
  d.operations = in.rest();
  add(node, std::move(d));
  current_ = descriptions_.size() - 1;
}

void node_table::read_generated(std::string_view rest) {
  grammar::cursor in(rest);
  const auto node = grammar::read_node(in);
  if (!node || !in.literal(": ")) return;
  description d;
  d.state = in.until(" Operation: ").value_or("");
  d.operation = in.rest();
  const auto comma = node->rfind(',');
  if (comma != std::string_view::npos) d.parent = find(node->substr(0, comma));
  if (d.parent == 0) d.parent = current_;
  add(*node, std::move(d));
}

std::optional<std::vector<std::string>> node_table::operations_of(const description& d) const {
  std::vector<std::string> made_by; // from the node up to the first whose operations are stated
  const auto* at = &d;
  for (; at->operation; at = &descriptions_[at->parent]) {
    if (made_by.size() == grammar::max_list || !parse_operation(*at->operation)) return {};
    made_by.push_back(*at->operation);
  }
  grammar::cursor in(at->operations);
  auto operations = grammar::read_operations(in);
  if (!operations || !in.at_end()) return {};
  operations->insert(operations->end(), made_by.rbegin(), made_by.rend());
  return operations;
}

std::variant<std::string, verdict::malformed> node_table::prompt(std::string_view node) const {
  const auto& d = descriptions_[find(node)];
  if (&d == &descriptions_.front())
    return verdict::malformed{"unknown node " + grammar::quoted(node)};
  grammar::cursor in(d.state);
  const auto state = grammar::read_state(in);
  if (!state || !in.at_end()) return refuse("malformed state", node, d.state);
  const auto operations = operations_of(d);
  if (!operations)
    return refuse("malformed operations", node, d.operation ? *d.operation : d.operations);
  return grammar::node_prompt(node, *state, *operations);
}

} // namespace banyan
