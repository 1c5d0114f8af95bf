#pragma once

#include "solver/countdown.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace banyan {

/// Exhaustive search: the operations of one solution, or nothing if none exists. Deterministic.
std::optional<std::vector<operation>> solve_exhaustively(const problem&);

struct problem_options {
  int num_numbers = 4; ///< 2..6
  std::int64_t min_number = 1, max_number = 99;
  std::int64_t min_target = 10, max_target = 100;
  std::uint64_t seed = 0;
  int workers = 1; ///< OS threads; the result does not depend on it
};

/// Draws distinct solvable problems: each number and the target uniform, kept if solvable. So a
/// problem with a number twice comes half as often as one without.
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

} // namespace banyan
