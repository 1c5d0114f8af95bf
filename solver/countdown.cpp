#include "solver/countdown.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace banyan {
namespace {

constexpr std::int64_t max_value = 9999;

bool cut_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes a number without sign, blanks or leading zeros off the front of `text`.
std::optional<std::int64_t> cut_number(std::string_view& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || (text[0] == '0' && length > 1)) return std::nullopt;
  text.remove_prefix(length);
  return value;
}

std::string_view cut_line(std::string_view& text) {
  auto length = std::min(text.find('\n'), text.size());
  auto line = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return line;
}

bool consume(std::vector<std::int64_t>& numbers, std::int64_t value) {
  auto found = std::find(numbers.begin(), numbers.end(), value);
  if (found == numbers.end()) return false;
  numbers.erase(found);
  return true;
}

/// The operation between "Exploring Operation: " and ", Resulting Numbers: ".
std::string_view explored(std::string_view rest_of_line) {
  return rest_of_line.substr(0, rest_of_line.find(", Resulting Numbers: "));
}

std::vector<std::string> explored_operations(std::string_view solution) {
  std::vector<std::string> found;
  while (!solution.empty()) {
    auto line = cut_line(solution);
    if (cut_prefix(line, "Exploring Operation: ")) found.emplace_back(explored(line));
  }
  return found;
}

/// The last line of a restatement: "62,62 equal: Goal Reached".
bool ends_at_goal(std::string_view solution, std::int64_t target) {
  auto text = std::to_string(target);
  auto goal = text + "," + text + " equal: Goal Reached";
  if (solution.ends_with('\n')) solution.remove_suffix(1);
  if (!solution.ends_with(goal)) return false;
  solution.remove_suffix(goal.size());
  return solution.ends_with('\n');
}

bool solved_by(const problem& p, const std::vector<std::string>& texts) {
  std::vector<operation> operations;
  for (auto& text : texts) {
    auto parsed = parse_operation(text);
    if (!parsed) return false;
    operations.push_back(*parsed);
  }
  return !refute(p, operations);
}

} // namespace

std::optional<std::int64_t> apply(std::int64_t left, char symbol, std::int64_t right) {
  if (left < 0 || right < 0) return std::nullopt;
  std::int64_t result = 0;
  switch (symbol) {
  case '+':
    if (__builtin_add_overflow(left, right, &result)) return std::nullopt;
    return result;
  case '*':
    if (__builtin_mul_overflow(left, right, &result)) return std::nullopt;
    return result;
  case '-':
    if (left < right) return std::nullopt;
    return left - right;
  case '/':
    if (right == 0 || left % right != 0) return std::nullopt;
    return left / right;
  default: return std::nullopt;
  }
}

std::string to_string(const operation& step) {
  return std::to_string(step.left) + step.symbol + std::to_string(step.right) + "="
         + std::to_string(step.result);
}

std::optional<operation> parse_operation(std::string_view text) {
  operation step;
  auto left = cut_number(text);
  if (!left || text.empty() || !std::strchr("+-*/", text[0])) return std::nullopt;
  step.symbol = text[0];
  text.remove_prefix(1);
  auto right = cut_number(text);
  if (!right || !cut_prefix(text, "=")) return std::nullopt;
  auto result = cut_number(text);
  if (!result || !text.empty()) return std::nullopt;
  step.left = *left, step.right = *right, step.result = *result;
  return step;
}

std::string to_string(const problem& p) {
  std::string text;
  for (auto number : p.numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text + " -> " + std::to_string(p.target);
}

std::optional<std::string> malformed(const problem& p) {
  auto outside = [](std::int64_t value) { return value < 0 || value > max_value; };
  if (p.numbers.size() < 2 || p.numbers.size() > 6)
    return "a problem has 2 to 6 numbers, this one has " + std::to_string(p.numbers.size());
  auto wrong = std::find_if(p.numbers.begin(), p.numbers.end(), outside);
  if (wrong != p.numbers.end())
    return "numbers go from 0 to 9999, " + std::to_string(*wrong) + " does not";
  if (outside(p.target))
    return "targets go from 0 to 9999, " + std::to_string(p.target) + " does not";
  return std::nullopt;
}

std::optional<std::string> refute(const problem& p, std::span<const operation> operations) {
  auto numbers = p.numbers;
  for (auto& step : operations) {
    if (apply(step.left, step.symbol, step.right) != step.result)
      return to_string(step) + " is not right";
    for (auto operand : {step.left, step.right})
      if (!consume(numbers, operand))
        return to_string(step) + " uses " + std::to_string(operand) + ", which is not there";
    numbers.push_back(step.result);
  }
  if (numbers.size() != 1) return std::to_string(numbers.size()) + " numbers are left, not one";
  if (numbers[0] != p.target)
    return "the result is " + std::to_string(numbers[0]) + ", not " + std::to_string(p.target);
  return std::nullopt;
}

outcome judge(const problem& p, std::string_view solution) {
  outcome result;
  if (solution.empty()) return result;
  result.claimed = true;
  result.solution = solution;
  result.operations = explored_operations(solution);
  result.solved = ends_at_goal(solution, p.target) && solved_by(p, result.operations);
  return result;
}

std::size_t problem_hash::operator()(const problem& p) const noexcept {
  std::uint64_t hash = static_cast<std::uint64_t>(p.target) + 0x9E3779B97F4A7C15;
  for (auto number : p.numbers) {
    hash ^= static_cast<std::uint64_t>(number);
    hash *= 0xBF58476D1CE4E5B9;
    hash ^= hash >> 29;
  }
  return hash;
}

problem canonical(problem p) {
  std::sort(p.numbers.begin(), p.numbers.end());
  return p;
}

} // namespace banyan
