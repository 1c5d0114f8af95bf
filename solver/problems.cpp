#include "solver/problems.hpp"

#include "solver/chance.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <thread>

namespace banyan {
namespace {

constexpr std::size_t max_numbers = 6;

/// Depth first over all pairs and operations, with the numbers in one array: position `j` of a pair
/// is overwritten by the last number, position `i` by the result, and both are put back afterwards.
class exhaustive {
public:
  exhaustive(std::span<const std::int64_t> numbers, std::int64_t target)
      : count_(numbers.size()), target_(target) {
    std::copy(numbers.begin(), numbers.end(), numbers_.begin());
  }

  bool solve() { return count_ > 1 ? descend() : numbers_[0] == target_; }

  std::vector<operation> steps() const { return {steps_.begin(), steps_.begin() + num_steps_}; }

private:
  bool descend() {
    for (std::size_t i = 0; i + 1 < count_; ++i)
      for (std::size_t j = i + 1; j < count_; ++j)
        if (combine(i, j)) return true;
    return false;
  }

  bool combine(std::size_t i, std::size_t j) {
    auto first = numbers_[i], second = numbers_[j];
    auto large = std::max(first, second), small = std::min(first, second);
    std::int64_t sum = 0, product = 0;
    bool sum_fits = !__builtin_add_overflow(large, small, &sum);
    bool product_fits = !__builtin_mul_overflow(large, small, &product);
    numbers_[j] = numbers_[count_ - 1];
    --count_;
    bool found =
        (sum_fits && attempt(i, {large, '+', small, sum}))
        || (product_fits && attempt(i, {large, '*', small, product}))
        || attempt(i, {large, '-', small, large - small})
        || (small > 1 && large % small == 0 && attempt(i, {large, '/', small, large / small}));
    ++count_;
    numbers_[j] = second;
    numbers_[i] = first;
    return found;
  }

  bool attempt(std::size_t i, operation step) {
    if (count_ == 1 && step.result != target_) return false;
    steps_[num_steps_++] = step;
    if (count_ == 1) return true;
    numbers_[i] = step.result;
    if (descend()) return true;
    --num_steps_;
    return false;
  }

  std::array<std::int64_t, max_numbers> numbers_{};
  std::array<operation, max_numbers> steps_{};
  std::size_t count_, num_steps_ = 0;
  std::int64_t target_;
};

bool solvable(const problem& p) { return exhaustive(p.numbers, p.target).solve(); }

problem draw(const problem_options& options, chance& random) {
  problem p;
  p.numbers.resize(static_cast<std::size_t>(options.num_numbers));
  for (auto& number : p.numbers) number = random.between(options.min_number, options.max_number);
  p.target = random.between(options.min_target, options.max_target);
  return p;
}

void require_sensible(const problem_options& options) {
  auto within = [](std::int64_t low, std::int64_t high) {
    return 0 <= low && low <= high && high <= 9999;
  };
  if (options.num_numbers < 2 || options.num_numbers > 6)
    throw std::invalid_argument("a problem has 2 to 6 numbers");
  if (!within(options.min_number, options.max_number)
      || !within(options.min_target, options.max_target))
    throw std::invalid_argument("numbers and targets are ranges within 0 to 9999");
}

/// The solvable ones among draws [begin, end), in order. Each draw has a stream of its own, so that
/// it does not matter who makes it.
std::vector<problem> solvable_draws(const problem_options& options, std::uint64_t begin,
                                    std::uint64_t end) {
  std::vector<problem> found;
  for (auto index = begin; index < end; ++index) {
    chance random(options.seed, index);
    if (auto p = draw(options, random); solvable(p)) found.push_back(std::move(p));
  }
  return found;
}

/// One share of draws per OS thread; share `k` comes k-th whoever is ready first.
std::vector<std::vector<problem>> shares_from(const problem_options& options, std::uint64_t begin,
                                              std::uint64_t draws_per_share) {
  std::vector<std::vector<problem>> shares(static_cast<std::size_t>(std::max(1, options.workers)));
  auto fill = [&](std::size_t share) {
    auto from = begin + share * draws_per_share;
    shares[share] = solvable_draws(options, from, from + draws_per_share);
  };
  std::vector<std::thread> others;
  for (std::size_t share = 1; share < shares.size(); ++share) others.emplace_back(fill, share);
  fill(0);
  for (auto& other : others) other.join();
  return shares;
}

double num_targets(const problem_options& options) {
  return static_cast<double>(options.max_target - options.min_target + 1);
}

/// So many draws in a row without a new problem mean that there is none left worth waiting for:
/// each problem of a small space has come with near certainty, and of a large one all but the
/// rarest.
std::uint64_t max_idle_draws(const problem_options& options) {
  constexpr double limit = 1 << 23;
  auto numbers = static_cast<double>(options.max_number - options.min_number + 1);
  auto space = std::pow(numbers, options.num_numbers) * num_targets(options);
  return static_cast<std::uint64_t>(std::min(limit, 32 * space));
}

// ---- all problems there are

/// More numbers take too long to go through.
bool countable(const problem_options& options) { return options.num_numbers <= 3; }

/// The problems there are, whether they can be solved or not: multisets of numbers, with a target.
double num_problems(const problem_options& options) {
  auto kinds = static_cast<double>(options.max_number - options.min_number + 1);
  double multisets = 1;
  for (int k = 0; k < options.num_numbers; ++k) multisets *= (kinds + k) / (k + 1);
  return std::round(multisets) * num_targets(options);
}

using number_array = std::array<std::int64_t, max_numbers>;

/// Gives each number that can be made of the first `count`, maybe more than once, to `take`.
template <class Take>
void for_each_result(const number_array& numbers, std::size_t count, Take& take) {
  if (count == 1) return take(numbers[0]);
  for (std::size_t i = 0; i + 1 < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j)
      for (const char symbol : {'+', '-', '*', '/'}) {
        const auto [small, large] = std::minmax(numbers[i], numbers[j]);
        const auto result = apply(large, symbol, small);
        if (!result) continue;
        auto rest = numbers;
        rest[i] = *result;
        rest[j] = numbers[count - 1];
        for_each_result(rest, count - 1, take);
      }
}

/// Gives each solvable problem of a countable space to `take`, canonical and in order.
template <class Take>
void for_each_problem(const problem_options& options, problem& p, Take take) {
  if (static_cast<int>(p.numbers.size()) == options.num_numbers) {
    std::vector<bool> made(static_cast<std::size_t>(num_targets(options)));
    auto mark = [&](std::int64_t result) {
      if (result >= options.min_target && result <= options.max_target)
        made[static_cast<std::size_t>(result - options.min_target)] = true;
    };
    number_array numbers{};
    std::copy(p.numbers.begin(), p.numbers.end(), numbers.begin());
    for_each_result(numbers, p.numbers.size(), mark);
    for (p.target = options.min_target; p.target <= options.max_target; ++p.target)
      if (made[static_cast<std::size_t>(p.target - options.min_target)]) take(p);
    return;
  }
  const auto least = p.numbers.empty() ? options.min_number : p.numbers.back();
  for (auto number = least; number <= options.max_number; ++number) {
    p.numbers.push_back(number);
    for_each_problem(options, p, take);
    p.numbers.pop_back();
  }
}

/// The solvable problems of a countable space that are not in `seen`.
std::vector<problem> rest_of(const problem_options& options, const problem_set& seen) {
  std::vector<problem> rest;
  problem p;
  for_each_problem(options, p, [&](const problem& found) {
    if (!seen.contains(found)) rest.push_back(found);
  });
  return rest;
}

[[noreturn]] void refuse(const std::string& there_are, std::size_t count) {
  throw std::invalid_argument("only " + there_are + ", not " + std::to_string(count));
}

/// Most spaces are so much larger than what is asked for that counting them would be a waste.
void require_enough(const problem_options& options, std::size_t count, const problem_set& seen) {
  constexpr double rarely_solvable = 1.0 / 64;
  const auto all = num_problems(options), wanted = static_cast<double>(count);
  if (wanted > all)
    refuse(std::to_string(static_cast<std::uint64_t>(all)) + " problems are there", count);
  if (!countable(options) || wanted < all * rarely_solvable) return;
  if (const auto left = rest_of(options, seen).size(); left < count)
    refuse(std::to_string(left) + " problems can be solved" + (seen.empty() ? "" : " and are left"),
           count);
}

} // namespace

std::optional<std::vector<operation>> solve_exhaustively(const problem& p) {
  if (p.numbers.empty() || p.numbers.size() > max_numbers) return std::nullopt;
  exhaustive search(p.numbers, p.target);
  if (!search.solve()) return std::nullopt;
  return search.steps();
}

std::vector<problem> generate_problems(const problem_options& options, std::size_t count,
                                       std::span<const problem> exclude,
                                       const std::function<void(std::size_t)>& told) {
  require_sensible(options);
  problem_set seen;
  for (auto& p : exclude) seen.insert(canonical(p));
  require_enough(options, count, seen);
  std::vector<problem> result;
  std::uint64_t next_draw = 0, last_new = 0;
  const auto max_idle = max_idle_draws(options);
  const auto draws_per_share = std::clamp<std::uint64_t>(4 * count, 64, 8192);
  while (result.size() < count && next_draw - last_new < max_idle) {
    if (told) told(result.size());
    for (auto& share : shares_from(options, next_draw, draws_per_share)) {
      next_draw += draws_per_share;
      for (auto& p : share) {
        if (result.size() == count || !seen.insert(canonical(p)).second) continue;
        result.push_back(std::move(p));
        last_new = next_draw;
      }
      if (next_draw - last_new >= max_idle) break;
    }
  }
  // The rarest, which nobody waited for, are those with a number twice.
  if (result.size() < count && countable(options))
    for (auto& p : rest_of(options, seen))
      if (result.size() < count) result.push_back(std::move(p));
  if (result.size() < count)
    refuse(std::to_string(result.size()) + " distinct problems were found", count);
  return result;
}

problem draw_problem(const problem_options& options, std::uint64_t index,
                     const problem_set& exclude) {
  require_sensible(options);
  // Not the seed of `generate_problems`: there a stream is one draw, here it goes on until a draw
  // fits.
  chance random(~options.seed, index);
  for (auto attempts = max_idle_draws(options); attempts > 0; --attempts) {
    auto p = draw(options, random);
    if (solvable(p) && (exclude.empty() || !exclude.contains(canonical(p)))) return p;
  }
  throw std::invalid_argument("no problem that can be solved and is not excluded was found");
}

} // namespace banyan
