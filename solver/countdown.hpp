#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace banyan {

/// A Countdown problem: combine two numbers at a time, each used exactly once, until the target is
/// left.
struct problem {
  std::vector<std::int64_t> numbers; ///< 2 to 6 of them, repetition allowed.
  std::int64_t target = 0;

  bool operator==(const problem&) const = default;
};

/// One step "left symbol right = result". Written with the larger operand first for `-` and `/`.
struct operation {
  std::int64_t left = 0;
  char symbol = '+'; ///< one of + - * /
  std::int64_t right = 0;
  std::int64_t result = 0;

  bool operator==(const operation&) const = default;
};

/// The result of `left symbol right` if Countdown allows it: non-negative, division exact and not
/// by zero, no overflow of 64 bits. Nothing otherwise.
std::optional<std::int64_t> apply(std::int64_t left, char symbol, std::int64_t right);

std::string to_string(const operation&);                    ///< "66-42=24"
std::optional<operation> parse_operation(std::string_view); ///< Exactly that form, or nothing.

/// "5, 50, 79, 27 -> 62": for messages.
std::string to_string(const problem&);

/// Why `check` refuses a problem before anybody tries to solve it; nothing if it is well formed:
/// 2 to 6 numbers, each 0..9999, target 0..9999.
std::optional<std::string> malformed(const problem&);

/// Strict verifier: every operation is correct arithmetic on two numbers that are there, each
/// number is consumed by it, one number is left and equals the target. Returns what is wrong, or
/// nothing if the operations are a solution.
std::optional<std::string> refute(const problem&, std::span<const operation>);

/// Exhaustive search: the operations of one solution, or nothing if none exists. Deterministic.
std::optional<std::vector<operation>> solve_exhaustively(const problem&);

/// What became of a thread's claim. `solved` is the verifier's word, `claimed` the model's.
struct outcome {
  bool solved = false;
  bool claimed = false;
  std::vector<std::string> operations; ///< of the claimed path, as text, e.g. "66-42=24"
  std::string solution;                ///< the restated path, empty without a claim

  bool operator==(const outcome&) const = default;
};

/// Reads the operations out of a root thread's solution (the restatement) and verifies them.
/// An empty `solution` is an outcome that claims nothing.
outcome judge(const problem&, std::string_view solution);

struct problem_hash { ///< of the problem as it is; apply `canonical` first to compare as sets
  std::size_t operator()(const problem&) const noexcept;
};

/// Canonical problems, to keep train and validation apart.
using problem_set = std::unordered_set<problem, problem_hash>;

struct problem_options {
  int num_numbers = 4; ///< 2..6
  std::int64_t min_number = 1, max_number = 99;
  std::int64_t min_target = 10, max_target = 100;
  std::uint64_t seed = 0;
  int workers = 1; ///< OS threads; the result does not depend on it
};

/// Draws distinct solvable problems uniformly (numbers and target uniform, kept if solvable).
/// A problem whose (sorted numbers, target) occurs in `exclude` or was drawn before is skipped.
/// The result depends on the options, `count` and `exclude` alone, never on `workers`.
/// Throws std::invalid_argument if so many distinct problems cannot be found: at once where there
/// are fewer, which is known exactly for two and three numbers. `told` hears now and then how many
/// there are so far.
std::vector<problem> generate_problems(const problem_options&, std::size_t count,
                                       std::span<const problem> exclude = {},
                                       const std::function<void(std::size_t)>& told = {});

/// Problem `index` of an endless stream: uniform over solvable draws, a pure function of
/// (options.seed, index), independent of every other index. A canonical problem in `exclude` is
/// never returned; the stream may repeat a problem. For training on data made on the fly.
problem draw_problem(const problem_options&, std::uint64_t index, const problem_set& exclude);

/// The same problem with its numbers sorted: the key under which two problems are the same.
problem canonical(problem);

} // namespace banyan
