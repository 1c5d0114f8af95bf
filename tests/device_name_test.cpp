#include "model/device_name.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("device names are read as LibTorch writes them", "[model]") {
  for (auto name : {"cpu", "cuda:0", "cuda:17"})
    CHECK(to_string(parse_device(name).value()) == name);
  CHECK(to_string(parse_device("cuda").value()) == "cuda:0");
  for (auto name : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1", "CPU", "cuda:99999999999"})
    CHECK_FALSE(parse_device(name));
}
