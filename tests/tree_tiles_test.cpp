#include "model/tree_tiles.hpp"

#include "model/transformer.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("sequences are cut into tiles that know what of them is seen later", "[model]") {
  const std::vector<std::int32_t> starts = {0, 3, 3, 153}; // 3, 0 and 150 tokens
  std::vector<std::int32_t> until(153, visible_always);
  std::fill(until.begin() + 3 + 60, until.begin() + 3 + 130, 130); // a block that is hidden later
  const auto tiles = tree_tiles(starts, until);
  REQUIRE(tiles.size() == 4);
  const auto same = [](const tree_tile& a, const tree_tile& b) {
    return a.begin == b.begin && a.length == b.length && a.first == b.first
           && a.first_tile == b.first_tile && a.num_tiles == b.num_tiles && a.least == b.least
           && a.last == b.last;
  };
  CHECK(same(tiles[0], {0, 3, 0, 0, 1, visible_always, visible_always}));
  CHECK(same(tiles[1], {3, 150, 0, 1, 3, 130, visible_always}));
  CHECK(same(tiles[2], {3, 150, 64, 1, 3, 130, 130}));
  CHECK(same(tiles[3], {3, 150, 128, 1, 3, 130, visible_always}));
}
