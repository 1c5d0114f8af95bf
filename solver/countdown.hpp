#pragma once

#include <cstdint>
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

/// Why nobody is asked to solve such a problem; nothing if it is well formed: 2 to 6 numbers, each
/// 0..9999, target 0..9999.
std::optional<std::string> malformed(const problem&);

/// Strict verifier: every operation is correct arithmetic on two numbers that are there, each
/// number is consumed by it, one number is left and equals the target. Returns what is wrong, or
/// nothing if the operations are a solution.
std::optional<std::string> refute(const problem&, std::span<const operation>);

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

/// The same problem with its numbers sorted: the key under which two problems are the same.
problem canonical(problem);

} // namespace banyan
