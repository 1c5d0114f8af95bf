#include "solver/grammar.hpp"

#include "solver/countdown.hpp"

namespace banyan::grammar {

namespace {

/// "[" item ", " item "]" where `item` reads one and says whether it could.
template <class Item>
bool read_list(cursor& in, Item item) {
  if (!in.literal("[")) return false;
  if (in.literal("]")) return true;
  for (std::size_t i = 0; i < max_list; ++i) {
    if (!item()) return false;
    if (in.literal("]")) return true;
    if (!in.literal(", ")) return false;
  }
  return false;
}

} // namespace

std::string to_string(std::span<const std::int64_t> numbers) {
  std::string text = "[";
  for (const char* separator = ""; const auto number : numbers) {
    text += separator + std::to_string(number);
    separator = ", ";
  }
  return text += ']';
}

std::string to_string(const state& s) {
  return std::to_string(s.target) + ":" + to_string(std::span(s.numbers));
}

std::string to_string(std::span<const std::string> operations) {
  std::string text = "[";
  for (const char* separator = "'"; const auto& operation : operations) {
    text += separator + operation + "'";
    separator = ", '";
  }
  return text += ']';
}

std::optional<std::vector<std::int64_t>> read_numbers(cursor& in) {
  std::vector<std::int64_t> numbers;
  const bool read = read_list(in, [&] {
    const auto number = in.integer<std::int64_t>();
    if (number) numbers.push_back(*number);
    return number.has_value();
  });
  if (!read) return {};
  return numbers;
}

std::optional<state> read_state(cursor& in) {
  const auto target = in.integer<std::int64_t>();
  if (!target || !in.literal(":")) return {};
  auto numbers = read_numbers(in);
  if (!numbers) return {};
  return state{*target, std::move(*numbers)};
}

std::optional<std::vector<std::string>> read_operations(cursor& in) {
  std::vector<std::string> operations;
  const bool read = read_list(in, [&] {
    if (!in.literal("'")) return false;
    const auto text = in.until("'");
    if (!text || !parse_operation(*text)) return false;
    operations.emplace_back(*text);
    return true;
  });
  if (!read) return {};
  return operations;
}

std::optional<std::string_view> read_node(cursor& in) {
  if (!in.literal("#")) return {};
  const auto id = in.any_of("0123456789,");
  if (id.empty()) return {};
  return id;
}

namespace {

bool read_operation_up_to(cursor& in, std::string_view stop) {
  const auto text = in.until(stop);
  return text && parse_operation(*text);
}

bool is_moving(cursor in) { return in.literal("Moving to Node ") && read_node(in) && in.at_end(); }

bool is_state(cursor in) {
  return in.literal("Current State: ") && read_state(in) && in.literal(", Operations: ")
         && read_operations(in) && in.at_end();
}

bool is_exploring(cursor in) {
  return in.literal("Exploring Operation: ") && read_operation_up_to(in, ", Resulting Numbers: ")
         && read_numbers(in) && in.at_end();
}

bool is_generated(cursor in) {
  return in.literal("Generated Node ") && read_node(in) && in.literal(": ") && read_state(in)
         && in.literal(" Operation: ") && parse_operation(in.rest());
}

} // namespace

bool is_goal(std::string_view line) {
  cursor in(line);
  return in.integer<std::int64_t>() && in.literal(",") && in.integer<std::int64_t>()
         && in.literal(" equal: Goal Reached") && in.at_end();
}

bool is_path_line(std::string_view line) {
  const cursor in(line);
  return is_moving(in) || is_state(in) || is_exploring(in) || is_generated(in) || is_goal(line);
}

std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string out = "'";
  for (const char c : text.substr(0, longest)) out += c >= ' ' && c <= '~' ? c : '?';
  return out += text.size() > longest ? "…'" : "'";
}

std::string node_prompt(std::string_view node, const state& at,
                        std::span<const std::string> operations) {
  return "Moving to Node #" + std::string(node) + "\nCurrent State: " + to_string(at)
         + ", Operations: " + to_string(operations) + "\n";
}

} // namespace banyan::grammar
