#pragma once

#include "solver/chance.hpp"
#include "solver/countdown.hpp"
#include "solver/search.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace banyan {

/// A state reached in a search, and how. Names are those of the text: "0", "0,1", "0,1,0".
struct search_node {
  std::array<std::int64_t, 6> numbers; ///< the first `count` of them
  std::array<double, 6> distances;     ///< of the numbers, as the heuristic counts
  operation step;                      ///< that led here; none for the root
  double score;
  std::uint32_t parent; ///< index in the space; of itself for the root
  std::uint8_t count;
  std::uint8_t name_size;
  std::array<char, 22> name;
};

/// One operation that may be explored from a node, not yet a node itself.
struct search_move {
  operation step;
  double distance;            ///< of the result
  double score;               ///< of the state it leads to
  std::uint8_t first, second; ///< positions of the operands in the node's numbers
};

/// Most moves that a state can have: 15 pairs of 6 numbers, 4 operations each.
inline constexpr std::size_t max_moves = 60;

/// What can be reached from a problem's numbers: scores states, lists the moves worth exploring,
/// keeps the nodes made. No text.
class search_space {
public:
  using node_id = std::uint32_t;

  search_space(const problem&, heuristic, std::int64_t max_result);

  static constexpr node_id root = 0;
  std::int64_t target() const { return target_; }
  const search_node& operator[](node_id id) const { return nodes_[id]; }

  /// The best `beam` moves from a node by score, earlier generated ones first among equals;
  /// shuffled or in generation order. Valid until the next call.
  std::span<const search_move> expand(node_id, int beam, node_order, chance&);

  /// Makes the state that a move leads to the `index`-th child of its node.
  node_id add(node_id parent, const search_move&, std::uint32_t index);

private:
  double distance(std::int64_t number) const;
  void fill_distances(heuristic);
  void generate(const search_node&);
  void generate_pair(const search_node&, std::uint8_t i, std::uint8_t j);
  void offer(const search_node&, const operation&, std::uint8_t i, std::uint8_t j, double rest);
  void keep_best(std::size_t beam);

  std::int64_t target_, max_result_;
  bool mean_;
  std::vector<double> distances_; // of 0..target
  std::vector<search_node> nodes_;
  std::array<search_move, max_moves> moves_;
  std::size_t num_moves_ = 0;
};

/// The states of one expansion, by their number in a `search_space`.
class node_list {
public:
  void push_back(std::uint32_t id) { ids_[size_++] = id; }
  std::size_t size() const { return size_; }
  const std::uint32_t* begin() const { return ids_.data(); }
  const std::uint32_t* end() const { return ids_.data() + size_; }
  std::uint32_t& operator[](std::size_t i) { return ids_[i]; }
  std::uint32_t operator[](std::size_t i) const { return ids_[i]; }

private:
  std::array<std::uint32_t, max_moves> ids_;
  std::size_t size_ = 0;
};

} // namespace banyan
