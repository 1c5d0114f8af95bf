#include "model/device.hpp"

#include <cstdint>
#include <exception>

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("the CPU is always ready", "[model]") { CHECK_NOTHROW(require_device("cpu")); }

TEST_CASE("an unknown device is refused by its name", "[model]") {
  for (const auto name : {"", "tpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA"})
    CHECK_THROWS_WITH(require_device(name),
                      Catch::StartsWith(std::string(name) + ": no such device"));
}

TEST_CASE("a GPU that is not there is refused with a remedy", "[model]") {
  CHECK_THROWS_AS(free_bytes("cuda:4096"), device_unavailable);
  CHECK_THROWS_WITH(require_device("cuda:4096"), Catch::StartsWith("cuda:4096: ")
                                                     && Catch::Contains("; ")
                                                     && !Catch::Contains("\n"));
}

TEST_CASE("a device has one name however it was given", "[model]") {
  CHECK(whole_device_name("cpu") == "cpu");
  CHECK(whole_device_name("cuda") == "cuda:0");
  CHECK(whole_device_name("cuda:0") == "cuda:0");
  CHECK(whole_device_name("cuda:3") == "cuda:3");
  CHECK_THROWS_AS(whole_device_name("nowhere"), device_unavailable);
}

#ifndef __SANITIZE_ADDRESS__ // which ends the program itself
TEST_CASE("memory that the system does not have is an error that can be caught", "[model]") {
  try {
    at::empty({std::int64_t{1} << 50}, at::kByte);
    FAIL("there was a petabyte");
  } catch (const std::exception& e) {
    CHECK(is_out_of_memory(e));
  }
}
#endif

TEST_CASE("memory that does not suffice is known by what CUDA and the CPU say of it", "[model]") {
  const auto known = [](const char* text) {
    try {
      TORCH_CHECK(false, text);
    } catch (const std::exception& e) {
      return is_out_of_memory(e);
    }
    return false;
  };
  CHECK(known("CUDA error: out of memory\nCUDA kernel errors might be"));
  CHECK(known("cudaErrorMemoryAllocation"));
  CHECK(known("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"));
  CHECK(known("DefaultCPUAllocator: not enough memory"));
  CHECK_FALSE(known("CUDA error: an illegal memory access was encountered"));
  CHECK(is_out_of_memory(device_memory_full("a step: out of memory")));
  CHECK_FALSE(is_out_of_memory(std::runtime_error("a step: an illegal memory access")));
}
