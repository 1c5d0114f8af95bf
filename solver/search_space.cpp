#include "solver/search_space.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace banyan {
namespace {

/// Whether `small` divides `large`. Nearly all numbers fit 32 bits, where division is much cheaper.
bool divides(std::int64_t small, std::int64_t large) {
  if (((small | large) >> 32) == 0)
    return static_cast<std::uint32_t>(large) % static_cast<std::uint32_t>(small) == 0;
  return large % small == 0;
}

} // namespace

search_space::search_space(const problem& p, heuristic which, std::int64_t max_result)
    : target_(p.target),
      max_result_(max_result > 0 ? max_result : std::numeric_limits<std::int64_t>::max()),
      mean_(which == heuristic::sum) {
  fill_distances(which);
  nodes_.reserve(128);
  auto& root = nodes_.emplace_back();
  root.count = static_cast<std::uint8_t>(p.numbers.size());
  std::copy(p.numbers.begin(), p.numbers.end(), root.numbers.begin());
  for (std::size_t i = 0; i < root.count; ++i) root.distances[i] = distance(root.numbers[i]);
  root.name[0] = '0';
  root.name_size = 1;
}

double search_space::distance(std::int64_t number) const {
  if (number <= target_) return distances_[static_cast<std::size_t>(number)];
  return static_cast<double>(number - target_); // the target is its own largest factor
}

void search_space::fill_distances(heuristic which) {
  auto size = static_cast<std::size_t>(target_) + 1;
  distances_.resize(size);
  // Upwards the nearest factor from above the last one seen, downwards the nearest from below.
  std::int64_t factor = target_;
  for (std::size_t i = size; i-- > 0;) {
    auto number = static_cast<std::int64_t>(i);
    if (which == heuristic::mult && number > 1 && target_ % number == 0) factor = number;
    distances_[i] = static_cast<double>(factor - number);
  }
  if (which == heuristic::sum) return;
  double below = std::numeric_limits<double>::infinity();
  for (auto& nearest : distances_) {
    below = nearest == 0 ? 0 : below + 1;
    nearest = std::min(nearest, below);
  }
}

std::span<const search_move> search_space::expand(node_id id, int beam, node_order order,
                                                  chance& random) {
  num_moves_ = 0;
  generate(nodes_[id]);
  keep_best(static_cast<std::size_t>(std::max(beam, 0)));
  if (order == node_order::shuffled) random.shuffle(moves_.data(), num_moves_);
  return {moves_.data(), num_moves_};
}

void search_space::generate(const search_node& node) {
  for (std::uint8_t i = 0; i + 1 < node.count; ++i)
    for (std::uint8_t j = i + 1; j < node.count; ++j) generate_pair(node, i, j);
}

void search_space::generate_pair(const search_node& node, std::uint8_t i, std::uint8_t j) {
  double rest = 0;
  for (std::size_t k = 0; k < node.count; ++k)
    if (k != i && k != j) rest += node.distances[k];
  auto a = node.numbers[i], b = node.numbers[j];
  std::int64_t result = 0;
  if (!__builtin_add_overflow(a, b, &result)) offer(node, {a, '+', b, result}, i, j, rest);
  if (!__builtin_mul_overflow(a, b, &result)) offer(node, {a, '*', b, result}, i, j, rest);
  auto large = std::max(a, b), small = std::min(a, b);
  offer(node, {large, '-', small, large - small}, i, j, rest);
  if (small > 0 && divides(small, large))
    offer(node, {large, '/', small, large / small}, i, j, rest);
}

void search_space::offer(const search_node& node, const operation& step, std::uint8_t i,
                         std::uint8_t j, double rest) {
  if (step.result > max_result_) return;
  auto away = distance(step.result);
  auto score = mean_ ? (rest + away) / (node.count - 1) : rest + away;
  moves_[num_moves_++] = {step, away, score, i, j};
}

void search_space::keep_best(std::size_t beam) {
  if (num_moves_ <= beam) return;
  std::array<std::uint8_t, max_moves> by_score;
  for (std::size_t i = 0; i < num_moves_; ++i) {
    auto place = i;
    for (; place > 0 && moves_[i].score < moves_[by_score[place - 1]].score; --place)
      by_score[place] = by_score[place - 1];
    by_score[place] = static_cast<std::uint8_t>(i);
  }
  std::sort(by_score.begin(), by_score.begin() + beam); // back to generation order
  for (std::size_t i = 0; i < beam; ++i) moves_[i] = moves_[by_score[i]];
  num_moves_ = beam;
}

search_space::node_id search_space::add(node_id parent, const search_move& move,
                                        std::uint32_t index) {
  auto id = static_cast<node_id>(nodes_.size());
  auto& node = nodes_.emplace_back();
  auto& from = nodes_[parent];
  node.count = 0;
  for (std::uint8_t k = 0; k < from.count; ++k) {
    if (k == move.first || k == move.second) continue;
    node.numbers[node.count] = from.numbers[k];
    node.distances[node.count++] = from.distances[k];
  }
  node.numbers[node.count] = move.step.result;
  node.distances[node.count++] = move.distance;
  node.step = move.step;
  node.score = move.score;
  node.parent = parent;
  node.name = from.name;
  auto end = node.name.data() + from.name_size;
  *end++ = ',';
  end = std::to_chars(end, node.name.data() + node.name.size(), index).ptr;
  node.name_size = static_cast<std::uint8_t>(end - node.name.data());
  return id;
}

} // namespace banyan
