#include "solver/trace.hpp"

#include "solver/grammar.hpp"
#include "solver/node_table.hpp"
#include "solver/restatement.hpp"

#include <cassert>
#include <utility>

namespace banyan {

// ---- root prompts

namespace {

std::string budget_text(std::string_view name, std::optional<int> budget) {
  return budget ? std::string(name) + std::to_string(*budget) + " " : "";
}

constexpr std::string_view sub_calls = "Sub Call Budget: ";
constexpr std::string_view tokens = "Token Budget: ";

/// Takes what `budget_text` writes; false if it begins that way and goes on otherwise.
bool read_budget(grammar::cursor& in, std::string_view name, std::optional<int>& budget) {
  if (!in.literal(name)) return true;
  budget = in.integer<int>();
  return budget && in.literal(" ");
}

/// "Moving to Node #0,1\n", if it is there.
bool read_moving(grammar::cursor& in, std::string& name) {
  if (!in.literal("Moving to Node ")) return true;
  name = grammar::read_node(in).value_or("");
  return !name.empty() && in.literal("\n");
}

} // namespace

std::string root_prompt(const problem& p, const conditioning& c) {
  return budget_text(sub_calls, c.sub_call_budget) + budget_text(tokens, c.token_budget)
         + grammar::node_prompt("0", {p.target, p.numbers}, {});
}

opening read_opening(std::string_view text) {
  opening found;
  grammar::cursor in(text);
  const auto read = [&] { return text.size() - in.rest().size(); };
  if (!read_budget(in, sub_calls, found.asked.sub_call_budget)
      || !read_budget(in, tokens, found.asked.token_budget))
    return {};
  found.prefix = read();
  if (!read_moving(in, found.node) || !in.literal("Current State: ")) return found;
  auto state = grammar::read_state(in);
  if (!state || !in.literal(", Operations: ")) return found;
  auto operations = grammar::read_operations(in);
  if (!operations || !in.literal("\n")) return found;
  found.state = {std::move(state->numbers), state->target};
  found.operations = std::move(*operations);
  found.size = read();
  return found;
}

std::optional<problem> parse_root_prompt(std::string_view text) {
  auto front = read_opening(text);
  if (front.node != "0" || front.size != text.size() || !front.operations.empty()) return {};
  return std::move(front.state);
}

// ---- the grammar

namespace {

/// The block that is being written, or waits for its join.
struct spawn_block {
  std::size_t begin = 0;
  std::vector<std::string> nodes, prompts;
  bool closed = false;
};

verdict::malformed wrong(std::string_view what, std::string_view found) {
  return {std::string(what) + ": " + grammar::quoted(found)};
}

} // namespace

struct trace::impl {
  impl(std::string_view prompt, options o) : impl(prompt, o, read_opening(prompt)) {}
  impl(std::string_view prompt, options, opening);

  trace_verdict feed(std::string_view decoded, bool at_end);
  std::optional<std::string_view> next_line(bool at_end);
  std::optional<trace_verdict> read(std::string_view line);
  std::optional<trace_verdict> read_prose(std::string_view line);
  std::optional<trace_verdict> read_start(std::string_view line);
  trace_verdict close();
  trace_verdict conclude();
  std::string join(std::span<const child_result>);
  void replace_spawn(std::string_view block);

  options limits;
  std::string text;
  std::size_t unread;       // begin of the first line that was not read yet
  std::size_t scanned;      // there is no newline between `unread` and here
  std::string token_budget; // what children inherit
  node_table nodes;
  restatement path;
  bool goal_reached = false;
  std::optional<spawn_block> spawn;
};

trace::impl::impl(std::string_view prompt, options o, opening front)
    : limits(o),
      text(prompt),
      unread(front.prefix),
      scanned(front.prefix),
      token_budget(budget_text(tokens, front.asked.token_budget)),
      path(front.node) {
  while (const auto line = next_line(false)) nodes.read(*line);
}

trace_verdict trace::impl::feed(std::string_view decoded, bool at_end) {
  assert(!(spawn && spawn->closed) && "join first");
  text += decoded;
  while (const auto line = next_line(at_end))
    if (auto said = read(*line)) return std::move(*said);
  return at_end ? conclude() : verdict::more{};
}

/// The end of a spawn block is read as soon as it stands there: whether its newline came with it
/// makes no difference.
std::optional<std::string_view> trace::impl::next_line(bool at_end) {
  const auto rest = std::string_view(text).substr(unread);
  if (spawn && rest.starts_with(grammar::end_spawn)) {
    unread += grammar::end_spawn.size();
    return rest.substr(0, grammar::end_spawn.size());
  }
  const auto newline = text.find('\n', scanned);
  scanned = newline == std::string::npos ? text.size() : newline + 1;
  if (newline != std::string::npos) return rest.substr(0, newline - std::exchange(unread, scanned));
  if (!at_end || rest.empty()) return {};
  unread = scanned;
  return rest;
}

std::optional<trace_verdict> trace::impl::read(std::string_view line) {
  if (!spawn) return read_prose(line);
  if (line == grammar::end_spawn) return close();
  return read_start(line);
}

std::optional<trace_verdict> trace::impl::read_prose(std::string_view line) {
  nodes.read(line);
  if (goal_reached) path.read(line);
  goal_reached = goal_reached || grammar::is_goal(line);
  if (line.starts_with(grammar::end_spawn))
    return wrong("end of a spawn block that never began", line);
  // A join that the model writes itself is a hallucination; what it wants is to spawn.
  const auto tag =
      line.starts_with(grammar::begin_join) ? grammar::begin_join : grammar::begin_spawn;
  if (!line.starts_with(tag)) return {};
  spawn.emplace().begin = static_cast<std::size_t>(line.data() - text.data());
  if (line != tag) return wrong("text after the begin of a spawn block", line);
  return {};
}

/// "<Start Sub Search 0 at level 1> Moving to Node #0,1"
std::optional<trace_verdict> trace::impl::read_start(std::string_view line) {
  grammar::cursor in(line);
  if (!in.literal("<Start Sub Search ")) return wrong("not the start of a sub search", line);
  const auto number = in.integer<std::size_t>();
  const bool numbered = number && in.literal(" at level ");
  const auto level = in.integer<std::uint32_t>();
  const bool placed = level && in.literal("> Moving to Node ");
  const auto node = grammar::read_node(in);
  if (!numbered || !placed || !node || !in.at_end())
    return wrong("not the start of a sub search", line);
  if (*number != spawn->nodes.size()) return wrong("wrong number of a sub search", line);
  if (*level != limits.level) return wrong("wrong level of a sub search", line);
  if (spawn->nodes.size() == limits.max_children)
    return wrong("more than " + std::to_string(limits.max_children) + " sub searches", line);
  auto prompt = nodes.prompt(*node);
  if (auto* why = std::get_if<verdict::malformed>(&prompt)) return std::move(*why);
  spawn->nodes.emplace_back(*node);
  spawn->prompts.push_back(token_budget + std::get<std::string>(prompt));
  return {};
}

trace_verdict trace::impl::close() {
  if (spawn->nodes.empty()) return verdict::malformed{"spawn block without a sub search"};
  spawn->closed = true;
  text.resize(unread);
  return verdict::spawn{std::move(spawn->prompts)};
}

trace_verdict trace::impl::conclude() {
  if (spawn) return verdict::malformed{"spawn block that is not closed at the end of the text"};
  if (path.complete()) return verdict::done{path.text()};
  return verdict::gave_up{};
}

std::string trace::impl::join(std::span<const child_result> children) {
  assert(spawn && spawn->closed && children.size() == spawn->nodes.size());
  const auto line_about = [&](const char* result, std::size_t i) {
    return std::string(result) + " in Sub Search " + std::to_string(i) + " at level "
           + std::to_string(limits.level) + " at Node #" + spawn->nodes[i] + ">\n";
  };
  auto put = std::string(grammar::begin_join) + "\n";
  for (std::size_t i = 0; i < children.size(); ++i) {
    const auto solution = checked_solution(children[i].solution.value_or(""), spawn->nodes[i]);
    put += line_about(solution ? "<Goal Reached" : "<No Solution", i) + solution.value_or("");
  }
  (put += grammar::end_join) += '\n';
  replace_spawn(put);
  return put;
}

void trace::impl::replace_spawn(std::string_view block) {
  assert(spawn && spawn->closed);
  text.resize(spawn->begin);
  text += block;
  unread = scanned = text.size(); // a child's claims are the parent's text but not its own words
  spawn.reset();
}

// ---- the class in front of it

trace::trace(std::string_view prompt, options o) : impl_(std::make_unique<impl>(prompt, o)) {}
trace::trace(std::string_view prompt) : trace(prompt, options{}) {}
trace::trace(trace&&) noexcept = default;
trace& trace::operator=(trace&&) noexcept = default;
trace::~trace() = default;

trace_verdict trace::feed(std::string_view decoded, bool at_end) {
  return impl_->feed(decoded, at_end);
}

std::string trace::join(std::span<const child_result> children) { return impl_->join(children); }

void trace::rejoin(std::string_view block) { impl_->replace_spawn(block); }

std::size_t trace::spawn_offset() const {
  return impl_->spawn ? impl_->spawn->begin : std::string::npos;
}

const std::string& trace::text() const { return impl_->text; }

} // namespace banyan
