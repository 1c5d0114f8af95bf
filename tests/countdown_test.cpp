#include "solver/countdown.hpp"
#include "solver/errc.hpp"
#include "solver/problems.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <set>

using namespace banyan;

namespace {

std::vector<operation> steps(const std::vector<std::string>& texts) {
  std::vector<operation> parsed;
  for (auto& text : texts) parsed.push_back(parse_operation(text).value());
  return parsed;
}

bool refuted(const problem& p, const std::vector<std::string>& texts) {
  return refute(p, steps(texts)).has_value();
}

/// Solves by trying everything with nothing shared between branches: slow, and easy to believe.
bool brute_force(const std::vector<std::int64_t>& numbers, std::int64_t target) {
  if (numbers.size() == 1) return numbers[0] == target;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t j = 0; j < numbers.size(); ++j)
      for (char symbol : {'+', '-', '*', '/'}) {
        auto result = i == j ? std::nullopt : apply(numbers[i], symbol, numbers[j]);
        if (!result) continue;
        std::vector<std::int64_t> rest{*result};
        for (std::size_t k = 0; k < numbers.size(); ++k)
          if (k != i && k != j) rest.push_back(numbers[k]);
        if (brute_force(rest, target)) return true;
      }
  return false;
}

bool solver_agrees(const problem& p) {
  auto found = solve_exhaustively(p);
  if (found.has_value() != brute_force(p.numbers, p.target)) return false;
  return !found || !refute(p, *found);
}

const problem example{{42, 61, 66}, 47};
const std::string example_solution = "Moving to Node #0\n"
                                     "Current State: 47:[42, 61, 66], Operations: []\n"
                                     "Exploring Operation: 61-42=19, Resulting Numbers: [66, 19]\n"
                                     "Generated Node #0,1: 47:[66, 19] Operation: 61-42=19\n"
                                     "Moving to Node #0,1\n"
                                     "Current State: 47:[66, 19], Operations: ['61-42=19']\n"
                                     "Exploring Operation: 66-19=47, Resulting Numbers: [47]\n"
                                     "47,47 equal: Goal Reached\n";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

problem_options small_options(int num_numbers) {
  problem_options options;
  options.num_numbers = num_numbers;
  return options;
}

} // namespace

// ---- arithmetic

TEST_CASE("an operation that Countdown forbids has no result", "[solver]") {
  CHECK(apply(7, '-', 3) == 4);
  CHECK(apply(3, '-', 3) == 0);
  CHECK_FALSE(apply(3, '-', 7));
  CHECK(apply(12, '/', 4) == 3);
  CHECK(apply(0, '/', 4) == 0);
  CHECK_FALSE(apply(12, '/', 5));
  CHECK_FALSE(apply(12, '/', 0));
  CHECK_FALSE(apply(-1, '+', 2));
  CHECK_FALSE(apply(2, '*', -1));
  CHECK_FALSE(apply(2, '^', 3));
}

TEST_CASE("an operation beyond 64 bits has no result", "[solver]") {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK(apply(most - 1, '+', 1) == most);
  CHECK_FALSE(apply(most, '+', 1));
  CHECK_FALSE(apply(std::int64_t(1) << 32, '*', std::int64_t(1) << 32));
}

TEST_CASE("an operation reads back as it was written", "[solver]") {
  for (operation step : {operation{66, '-', 42, 24},
                         {0, '*', 99, 0},
                         {5, '+', 5, 10},
                         {9223372036854775807, '/', 1, 9223372036854775807}})
    CHECK(parse_operation(to_string(step)) == step);
}

TEST_CASE("an operation in any other form is not read", "[solver]") {
  for (auto text : {"",          "66",          "66-42",
                    "66-42=",    "=24",         "66-42=24 ",
                    " 66-42=24", "66 - 42=24",  "066-42=24",
                    "66-042=24", "66-42=024",   "66--42=108",
                    "-66+90=24", "66+-42=24",   "66-42=+24",
                    "66-42==24", "66-42=24=24", "66x42=24",
                    "66**2=24",  "66-42=24\n",  "99999999999999999999-1=2",
                    "6e1+1=61",  "66-42=24,1",  "66.0-42=24"})
    CHECK_FALSE(parse_operation(text));
}

// ---- the verifier

TEST_CASE("a solution is not refuted", "[solver]") {
  CHECK_FALSE(refute(example, steps({"61-42=19", "66-19=47"})));
  CHECK_FALSE(refute({{5, 50, 79, 27}, 62}, steps({"50/5=10", "79-27=52", "52+10=62"})));
}

TEST_CASE("operands may be equal only where the number is there twice", "[solver]") {
  CHECK_FALSE(refute({{5, 5}, 10}, steps({"5+5=10"})));
  CHECK(refuted({{5, 7}, 10}, {"5+5=10"}));
  CHECK_FALSE(refute({{3, 6, 3}, 6}, steps({"6/3=2", "2*3=6"})));
  CHECK(refuted({{3, 6, 3}, 4}, {"6/3=2", "2+2=4"}));
}

TEST_CASE("a path that breaks a rule is refuted", "[solver]") {
  CHECK(refuted(example, {"66-19=47"}));                        // a number that is not there
  CHECK(refuted(example, {"66-42=24", "66-19=47"}));            // one that was used up
  CHECK(refuted(example, {"61-42=18", "66-18=48"}));            // wrong arithmetic
  CHECK(refuted({{61, 42, 66}, 18}, {"61-42=19", "66-19=18"})); // wrong in the last step
  CHECK(refuted({{42, 5, 66}, 47}, {"42+5=47"}));               // a number left over
  CHECK(refuted(example, {"61-42=19", "66+19=85"}));            // another target
  CHECK(refuted(example, {}));                                  // nothing done
  CHECK(refuted({{47, 0}, 47}, {}));                            // not even where a number fits
  CHECK(refuted({{9, 4, 1}, 2}, {"9/4=2", "2*1=2"}));           // a division with a rest
  CHECK(refuted({{3, 7, 4}, 0}, {"7-3=4", "4-4=0", "0*3=0"}));  // more steps than numbers
}

TEST_CASE("a claim counts as solved only if its path holds", "[solver]") {
  auto result = judge(example, example_solution);
  CHECK(result.claimed);
  CHECK(result.solved);
  CHECK(result.operations == std::vector<std::string>{"61-42=19", "66-19=47"});
  CHECK(result.solution == example_solution);
  CHECK(judge(example, "") == outcome{});
}

TEST_CASE("a claim that cheats is claimed and not solved", "[solver]") {
  std::vector<std::string> cheats{
      replaced(example_solution, "66-19=47", "66-18=47"),
      replaced(example_solution, "66-19=47", "66-019=47"),
      replaced(example_solution, "61-42=19", "61-42=19 "),
      replaced(example_solution, "61-42=19", "42-61=19"),
      replaced(example_solution, "Exploring Operation: 61-42=19", "exploring Operation: 61-42=19"),
      replaced(example_solution, "47,47 equal", "47,48 equal"),
      replaced(example_solution, "47,47 equal: Goal Reached\n", ""),
      replaced(example_solution, "\n47,47", "47,47"),
      example_solution + "Exploring Operation: 47-0=47, Resulting Numbers: [47]\n",
      example_solution + example_solution,
      example_solution + "and so on",
      "47,47 equal: Goal Reached\n",
      "Exploring Operation: 47=47, Resulting Numbers: [47]\n47,47 equal: Goal Reached\n",
  };
  for (auto& cheat : cheats) {
    INFO(cheat);
    auto result = judge(example, cheat);
    CHECK(result.claimed);
    CHECK_FALSE(result.solved);
  }
}

TEST_CASE("a path to the goal of another problem is not a solution", "[solver]") {
  CHECK_FALSE(judge({{42, 61, 66}, 48}, example_solution).solved);
  CHECK_FALSE(judge({{42, 61, 67}, 47}, example_solution).solved);
  CHECK_FALSE(judge({{42, 61, 66, 1}, 47}, example_solution).solved);
  CHECK(judge({{66, 42, 61}, 47}, example_solution).solved);
}

TEST_CASE("a problem out of bounds is malformed", "[solver]") {
  CHECK_FALSE(malformed(example));
  CHECK_FALSE(malformed({{0, 9999}, 0}));
  CHECK_FALSE(malformed({{1, 2, 3, 4, 5, 6}, 9999}));
  CHECK(malformed({{}, 1}));
  CHECK(malformed({{1}, 1}));
  CHECK(malformed({{1, 2, 3, 4, 5, 6, 7}, 1}));
  CHECK(malformed({{1, 10000}, 1}));
  CHECK(malformed({{1, -1}, 1}));
  CHECK(malformed({{1, 2}, 10000}));
  CHECK(malformed({{1, 2}, -1}));
}

// ---- the exhaustive solver

TEST_CASE("the exhaustive solver agrees with brute force on all small problems", "[solver]") {
  int wrong = 0;
  for (std::int64_t a = 0; a < 6; ++a)
    for (std::int64_t b = 0; b < 6; ++b)
      for (std::int64_t target = 0; target < 30; ++target) {
        wrong += !solver_agrees({{a, b}, target});
        wrong += !solver_agrees({{b, 4, a}, target});
        wrong += !solver_agrees({{a, 7, b}, target});
      }
  CHECK(wrong == 0);
}

TEST_CASE("the exhaustive solver agrees with brute force on four numbers", "[solver]") {
  int wrong = 0;
  for (std::int64_t target : {1, 13, 62, 97})
    for (std::int64_t a : {0, 5, 27})
      wrong += !solver_agrees({{a, 50, 8, 27}, target}) + !solver_agrees({{3, a, a, 11}, target});
  CHECK(wrong == 0);
}

TEST_CASE("the exhaustive solver finds paths of six numbers and refuses to invent one",
          "[solver]") {
  problem six{{75, 50, 2, 3, 8, 7}, 812};
  REQUIRE(solve_exhaustively(six));
  CHECK_FALSE(refute(six, *solve_exhaustively(six)));
  CHECK_FALSE(solve_exhaustively({{1, 1, 1, 1, 1, 1}, 10}));
}

// ---- where problems come from

TEST_CASE("generated problems are distinct and solvable and within their ranges", "[solver]") {
  for (int num_numbers : {2, 3, 4, 5}) {
    auto made = generate_problems(small_options(num_numbers), 200);
    problem_set distinct;
    int wrong = 0;
    for (auto& p : made) {
      distinct.insert(canonical(p));
      wrong += !solve_exhaustively(p) || p.target < 10 || p.target > 100
               || static_cast<int>(p.numbers.size()) != num_numbers;
      for (auto number : p.numbers) wrong += number < 1 || number > 99;
    }
    CHECK(made.size() == 200);
    CHECK(distinct.size() == 200);
    CHECK(wrong == 0);
  }
}

TEST_CASE("generated problems do not depend on the number of workers", "[solver]") {
  auto options = small_options(3);
  auto alone = generate_problems(options, 500);
  options.workers = 4;
  CHECK(generate_problems(options, 500) == alone);
  options.workers = 3;
  CHECK(generate_problems(options, 500) == alone);
}

TEST_CASE("generated problems depend on the seed and repeat with it", "[solver]") {
  auto options = small_options(4);
  auto made = generate_problems(options, 50);
  CHECK(generate_problems(options, 50) == made);
  CHECK(generate_problems(options, 20) == std::vector<problem>(made.begin(), made.begin() + 20));
  options.seed = 1;
  CHECK(generate_problems(options, 50) != made);
}

TEST_CASE("an excluded problem is never generated in whatever order its numbers stand",
          "[solver]") {
  auto options = small_options(2);
  auto excluded = generate_problems(options, 300);
  problem_set keys;
  for (auto& p : excluded) {
    keys.insert(canonical(p));
    std::reverse(p.numbers.begin(), p.numbers.end());
  }
  int seen = 0;
  for (auto& p : generate_problems(options, 300, excluded)) seen += keys.contains(canonical(p));
  for (std::uint64_t i = 0; i < 300; ++i)
    seen += keys.contains(canonical(draw_problem(options, i, keys)));
  CHECK(seen == 0);
}

TEST_CASE("all problems of a small space are found and one more is refused", "[solver]") {
  problem_options options;
  options.num_numbers = 2;
  options.max_number = 9;
  options.min_target = options.max_target = 12;
  // 3+9 4+8 5+7 6+6 2*6 3*4
  CHECK(generate_problems(options, 6).size() == 6);
  CHECK_THROWS_AS(generate_problems(options, 7), std::invalid_argument);
  options.min_target = options.max_target = 83; // a prime beyond every sum
  CHECK_THROWS_AS(generate_problems(options, 1), std::invalid_argument);
  CHECK_THROWS_AS(draw_problem(options, 0, {}), std::invalid_argument);
}

TEST_CASE("the problems that are left of a space with rare ones are all found", "[solver]") {
  problem_options options;
  options.num_numbers = 3;
  options.max_number = 30;
  options.min_target = options.max_target = 100;
  problem_set solvable;
  for (std::int64_t a = 1; a <= 30; ++a)
    for (std::int64_t b = a; b <= 30; ++b)
      for (std::int64_t c = b; c <= 30; ++c)
        if (solve_exhaustively({{a, b, c}, 100})) solvable.insert({{a, b, c}, 100});
  const auto first = generate_problems(options, 100);
  const auto rest = generate_problems(options, solvable.size() - 100, first);
  problem_set found;
  for (auto& p : first) found.insert(canonical(p));
  for (auto& p : rest) found.insert(canonical(p));
  CHECK(found == solvable);
  CHECK_THROWS_WITH(generate_problems(options, solvable.size() - 99, first),
                    Catch::Contains("only " + std::to_string(rest.size())
                                    + " problems can be solved and are left"));
}

TEST_CASE("more problems than there are with three numbers are refused at once", "[solver]") {
  int told = 0;
  const auto count_calls = [&told](std::size_t) { ++told; };
  CHECK_THROWS_WITH(generate_problems(small_options(3), 558'102, {}, count_calls),
                    "only 558101 problems can be solved, not 558102");
  CHECK_THROWS_WITH(generate_problems(small_options(6), 999'999'999'999, {}, count_calls),
                    Catch::Contains("problems are there"));
  CHECK(told == 0);
}

TEST_CASE("options that make no sense are refused", "[solver]") {
  CHECK_THROWS_AS(generate_problems(small_options(1), 1), std::invalid_argument);
  CHECK_THROWS_AS(generate_problems(small_options(7), 1), std::invalid_argument);
  auto reversed = small_options(3);
  std::swap(reversed.min_target, reversed.max_target);
  CHECK_THROWS_AS(generate_problems(reversed, 1), std::invalid_argument);
}

TEST_CASE("a problem of the stream depends on its index and the seed alone", "[solver]") {
  auto options = small_options(4);
  auto seventh = draw_problem(options, 7, {});
  std::set<std::string> different;
  for (std::uint64_t i = 0; i < 100; ++i) {
    auto p = draw_problem(options, i, {});
    CHECK(solve_exhaustively(p));
    different.insert(to_string(p));
    if (i == 7) CHECK(p == seventh);
  }
  CHECK(different.size() == 100);
  options.seed = 1;
  CHECK_FALSE(draw_problem(options, 7, {}) == seventh);
}

// ---- failures have names

TEST_CASE("the name of a failure can be read back", "[solver]") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(last_errc); ++i) {
    auto code = static_cast<errc>(i);
    CHECK(errc_from(to_string(code)) == code);
    names.insert(to_string(code));
  }
  CHECK(names.size() == static_cast<std::size_t>(last_errc) + 1);
  CHECK(to_string(errc::context_full) == "context_full");
  CHECK_FALSE(errc_from("Context_full"));
}
