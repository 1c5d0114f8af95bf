#include "solver/countdown.hpp"

#include "solver/cursor.hpp"

#include <algorithm>

namespace banyan {
namespace {

constexpr std::int64_t max_value = 9999;

/// A number without sign and leading zeros.
std::optional<std::int64_t> natural(grammar::cursor& in) {
  if (in.rest().starts_with('-')) return std::nullopt;
  return in.integer<std::int64_t>();
}

bool consume(std::vector<std::int64_t>& numbers, std::int64_t value) {
  auto found = std::find(numbers.begin(), numbers.end(), value);
  if (found == numbers.end()) return false;
  numbers.erase(found);
  return true;
}

/// What stands between "Exploring Operation: " and ", Resulting Numbers: ", line by line.
std::vector<std::string> explored_operations(std::string_view solution) {
  std::vector<std::string> found;
  while (!solution.empty()) {
    auto length = std::min(solution.find('\n'), solution.size());
    grammar::cursor line(solution.substr(0, length));
    solution.remove_prefix(std::min(length + 1, solution.size()));
    if (line.literal("Exploring Operation: "))
      found.emplace_back(line.until(", Resulting Numbers: ").value_or(line.rest()));
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
  grammar::cursor in(text);
  auto left = natural(in);
  if (!left || in.at_end()) return std::nullopt;
  auto symbol = in.rest().front();
  if (in.any_of("+-*/").size() != 1) return std::nullopt;
  auto right = natural(in);
  if (!right || !in.literal("=")) return std::nullopt;
  auto result = natural(in);
  if (!result || !in.at_end()) return std::nullopt;
  return operation{*left, symbol, *right, *result};
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
