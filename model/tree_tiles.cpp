#include "model/tree_tiles.hpp"

#include <algorithm>

namespace banyan {

std::vector<tree_tile> tree_tiles(std::span<const std::int32_t> starts,
                                  std::span<const std::int32_t> visible_until) {
  std::vector<tree_tile> tiles;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    tree_tile t{.begin = starts[s],
                .length = starts[s + 1] - starts[s],
                .first_tile = static_cast<std::int32_t>(tiles.size())};
    t.num_tiles = (t.length + attention_tile - 1) / attention_tile;
    for (; t.first < t.length; t.first += attention_tile) {
      const auto until = visible_until.subspan(
          static_cast<std::size_t>(t.begin + t.first),
          static_cast<std::size_t>(std::min(attention_tile, t.length - t.first)));
      const auto [least, last] = std::ranges::minmax(until);
      t.least = least;
      t.last = last;
      tiles.push_back(t);
    }
  }
  return tiles;
}

} // namespace banyan
