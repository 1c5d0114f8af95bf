#include "gpu_pool/epochs.hpp"

#include <catch2/catch.hpp>

using namespace banyan;
using numbers = std::vector<std::uint32_t>;

TEST_CASE("an epoch can be pinned while it is in the list", "[pool]") {
  epoch_list list(3);
  list.add(5);
  CHECK(list.newest() == 5);
  CHECK(*list.pin(3) == 3);
  CHECK(*list.pin(5) == 5);
  CHECK_FALSE(list.pin(4));
  list.forget(0);
  CHECK_FALSE(list.pin(3));
}

TEST_CASE("the newest epochs stay and older ones while somebody holds them", "[pool]") {
  epoch_list list(0);
  for (std::uint32_t epoch = 1; epoch < 6; ++epoch) list.add(epoch);
  auto held = list.pin(1);
  auto again = held;
  CHECK(list.forget(2) == numbers{0, 2});
  CHECK(list.all() == numbers{1, 3, 4, 5});
  held.reset();
  CHECK(list.forget(9).empty());
  CHECK(list.forget(2).empty());
  again.reset();
  CHECK(list.forget(0) == numbers{1, 3, 4});
  CHECK(list.forget(0).empty());
  CHECK(list.all() == numbers{5});
}
