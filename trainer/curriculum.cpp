#include "trainer/curriculum.hpp"

#include "model/tokenizer.hpp"
#include "solver/chance.hpp"
#include "solver/problems.hpp"

#include <algorithm>
#include <cmath>

namespace banyan {

namespace {

/// One well-mixed number per (seed, index).
std::uint64_t mix(std::uint64_t seed, std::uint64_t index) {
  return chance::mix(seed * chance::golden + index + chance::golden);
}

double fraction(std::uint64_t x) { return double(x >> 11) * 0x1p-53; }

/// Room for the demonstrations of one step in the stream's numbering.
constexpr std::uint64_t stride = 4096;

/// A two-number state with a division in every second case: divisibility is what the model must
/// know before it writes anything.
problem pair_problem(const drill_options& o, std::uint64_t x) {
  const auto limit = static_cast<std::uint64_t>(o.max_result);
  auto b = static_cast<std::int64_t>(1 + (x >> 8) % 99);
  auto a = static_cast<std::int64_t>(1 + (x >> 20) % ((x & 2) ? 99 : limit));
  if ((x & 1) && b * 2 <= o.max_result)
    a = b * static_cast<std::int64_t>(1 + (x >> 32) % (limit / static_cast<std::uint64_t>(b)));
  auto numbers = (x & 4) ? std::vector{a, b} : std::vector{b, a};
  return {std::move(numbers), static_cast<std::int64_t>(10 + (x >> 48) % 91)};
}

} // namespace

curriculum::curriculum(curriculum_options options, std::shared_ptr<const tokenizer> vocabulary,
                       problem_set held_out, std::vector<tree> given)
    : options_(std::move(options)),
      tokenizer_(std::move(vocabulary)),
      held_out_(std::move(held_out)),
      given_(std::move(given)) {}

bool curriculum::is_drill(std::uint64_t step) const {
  return step < static_cast<std::uint64_t>(options_.drill_steps)
         || fraction(mix(options_.seed, step)) < options_.drill_share;
}

training_batch curriculum::batch(std::uint64_t step, double progress) const {
  return make_batch(is_drill(step) ? drill_rows(step) : tree_rows(step, progress));
}

tree curriculum::demonstration(std::uint64_t index) const {
  if (!given_.empty()) return given_[mix(options_.seed, index) % given_.size()];
  problem_options problems{.num_numbers = options_.num_numbers, .seed = options_.seed};
  return demonstrate(draw_problem(problems, index, held_out_), options_.search, index);
}

std::int32_t curriculum::longest_context(std::uint64_t demonstrations) const {
  std::int32_t longest = 0;
  for (std::uint64_t i = 0; i < demonstrations; ++i)
    for (const auto& s : sequences_of(demonstration(i), *tokenizer_))
      longest = std::max(longest, *std::ranges::max_element(s.positions) + 1);
  return longest;
}

std::optional<problem> curriculum::pair_drill(std::uint64_t index) const {
  constexpr int most_draws = 100; // of problems that may all be held out
  auto x = mix(options_.seed + 2, index);
  for (int i = 0; i < most_draws; ++i, x = chance::mix(x + chance::golden)) {
    auto p = pair_problem(options_.drills, x);
    if (!held_out_.contains(canonical(p))) return p;
  }
  return {};
}

std::vector<training_sequence> curriculum::drill_rows(std::uint64_t step) const {
  std::vector<training_sequence> rows;
  auto pairs = options_.search;
  pairs.spawn_probability = 0;
  for (int i = 0; i < options_.drill_rows; ++i) {
    const auto index = step * stride + static_cast<std::uint64_t>(i);
    const auto x = mix(options_.seed + 1, index);
    const auto pair = fraction(x) < options_.pair_share ? pair_drill(index) : std::nullopt;
    rows.push_back(pair ? sequence_of(demonstrate(*pair, pairs, index).root(), *tokenizer_)
                        : arithmetic_drill(options_.drills, *tokenizer_, options_.seed, index));
  }
  return rows;
}

std::vector<training_sequence> curriculum::tree_rows(std::uint64_t step, double progress) const {
  const auto spread = options_.trees_high - options_.trees_low;
  const auto trees =
      options_.trees_low + static_cast<int>(std::lround(spread * std::clamp(progress, 0.0, 1.0)));
  std::vector<training_sequence> rows;
  for (int i = 0; i < std::max(trees, 1); ++i)
    for (auto& s :
         sequences_of(demonstration(step * stride + static_cast<std::uint64_t>(i)), *tokenizer_))
      rows.push_back(std::move(s));
  return rows;
}

} // namespace banyan
