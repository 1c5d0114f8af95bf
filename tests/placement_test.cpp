#include "gpu_pool/placement.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace banyan;

TEST_CASE("device names are read as LibTorch writes them", "[pool]") {
  for (auto name : {"cpu", "cuda:0", "cuda:17"})
    CHECK(to_string(parse_device(name).value()) == name);
  CHECK(to_string(parse_device("cuda").value()) == "cuda:0");
  for (auto name : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1", "CPU", "cuda:99999999999"})
    CHECK_FALSE(parse_device(name));
}

TEST_CASE("a child stays with its parent's pool while that has room", "[pool]") {
  const std::vector<pool_load> pools{{0, 8}, {7, 8}, {8, 8}};
  CHECK(choose_pool(pools, 1) == 1);
  CHECK(choose_pool(pools, 2) == 0);
}

TEST_CASE("a thread goes where the load is least for the capacity", "[pool]") {
  CHECK(choose_pool(std::vector<pool_load>{{3, 8}, {5, 16}, {4, 8}}, {}) == 1);
  CHECK(choose_pool(std::vector<pool_load>{{4, 8}, {4, 8}}, {}) == 0);
}

TEST_CASE("a lost pool is never chosen", "[pool]") {
  CHECK(choose_pool(std::vector<pool_load>{{0, 0}, {100, 8}}, {}) == 1);
  CHECK(choose_pool(std::vector<pool_load>{{0, 0}, {100, 8}}, 0) == 1);
  CHECK_FALSE(choose_pool(std::vector<pool_load>{{0, 0}}, {}));
  CHECK_FALSE(choose_pool({}, {}));
}
