#include "trainer/drills.hpp"

#include "model/tokenizer.hpp"
#include "solver/countdown.hpp"

#include <algorithm>
#include <random>

namespace banyan {

namespace {

struct draw {
  std::mt19937_64 generator;

  std::int64_t between(std::int64_t low, std::int64_t high) { // both included
    const auto range = static_cast<std::uint64_t>(high - low + 1);
    return low
           + static_cast<std::int64_t>(generator()
                                       % range); // ranges are tiny beside 2^64: no bias to see
  }
  double uniform() { return double(generator() >> 11) * 0x1p-53; }

  char symbol(const drill_options& o) {
    auto x = uniform() * (o.plus + o.minus + o.times + o.divide);
    if ((x -= o.plus) < 0) return '+';
    if ((x -= o.minus) < 0) return '-';
    return (x -= o.times) < 0 ? '*' : '/';
  }

  /// Given numbers are below 100, results of earlier steps reach `max_result`.
  std::int64_t number(const drill_options& o) {
    return uniform() < 0.6 ? between(1, 99) : between(0, o.max_result);
  }
};

operation draw_operation(const drill_options& o, draw& d) {
  const auto symbol = d.symbol(o);
  auto a = d.number(o), b = d.between(1, 99);
  if (symbol == '*') { // a factor, and another that keeps the product in range
    b = d.between(1, 1 + d.between(0, 98));
    a = d.between(1, std::max<std::int64_t>(1, o.max_result / b));
  } else if (symbol == '/') {
    b = d.between(1, 1 + d.between(0, 98));
    a = b * d.between(1, std::max<std::int64_t>(1, o.max_result / b));
  } else if (symbol == '+') {
    a = std::min(a, o.max_result - b);
  }
  if (a < b && symbol != '/') std::swap(a, b);
  return {a, symbol, b, *apply(a, symbol, b)};
}

} // namespace

training_sequence arithmetic_drill(const drill_options& options, const tokenizer& vocabulary,
                                   std::uint64_t seed, std::uint64_t index) {
  std::seed_seq mix{seed, seed >> 32, index, index >> 32, std::uint64_t{0xd1}};
  draw d{std::mt19937_64(mix)};
  training_sequence s;
  auto add = [&](const std::string& text, bool loss) {
    for (auto id : vocabulary.encode(text)) {
      if (!s.ids.empty()) s.targets.push_back(loss ? id : -1);
      s.ids.push_back(id);
    }
  };
  for (int i = 0; i < options.lines; ++i) {
    const auto op = draw_operation(options, d);
    add(std::to_string(op.left) + op.symbol + std::to_string(op.right) + '=', false);
    add(std::to_string(op.result) + '\n', true);
  }
  s.targets.push_back(-1);
  for (std::size_t i = 0; i < s.ids.size(); ++i)
    s.positions.push_back(static_cast<std::int32_t>(i));
  s.visible_until.assign(s.ids.size(), visible_always);
  return s;
}

} // namespace banyan
