#include "model/device.hpp"

#include "model/attention.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("the CPU is always ready", "[model]") { CHECK_NOTHROW(require_device("cpu")); }

TEST_CASE("an unknown device is refused by its name", "[model]") {
  for (const auto name : {"", "tpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA"})
    CHECK_THROWS_WITH(require_device(name),
                      Catch::StartsWith(std::string(name) + ": no such device"));
}

TEST_CASE("a GPU that is not there is refused with a remedy", "[model]") {
  CHECK_THROWS_WITH(require_device("cuda:4096"), Catch::StartsWith("cuda:4096: ")
                                                     && Catch::Contains("; ")
                                                     && !Catch::Contains("\n"));
}

TEST_CASE("a build without CUDA kernels says so", "[model]") {
  if (!has_cuda_kernels()) CHECK_THROWS_AS(paged_attention_cuda({}, nullptr), std::runtime_error);
}
