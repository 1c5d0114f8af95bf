#include "model/device.hpp"

#include "model/device_cuda.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

namespace banyan {

namespace {

/// The index of "cuda" or "cuda:N"; -1 for "cpu".
int cuda_index(std::string_view device) {
  if (device == "cpu") return -1;
  if (device == "cuda") return 0;
  constexpr std::string_view prefix = "cuda:";
  int index = -1;
  if (device.starts_with(prefix)) {
    const auto end = device.data() + device.size();
    const auto [rest, error] = std::from_chars(device.data() + prefix.size(), end, index);
    if (error != std::errc() || rest != end) index = -1;
  }
  if (index < 0) refuse_device(device, "no such device; use cpu, cuda or cuda:N");
  return index;
}

} // namespace

void refuse_device(std::string_view device, std::string_view why) {
  throw device_unavailable(std::string(device).append(": ").append(why));
}

void require_device(const std::string& device) {
  const int index = cuda_index(device);
  if (index >= 0) require_cuda(device, index);
}

std::optional<std::uint64_t> free_bytes(const std::string& device) {
  require_device(device);
  const int index = cuda_index(device);
  if (index < 0) return {};
  return free_bytes_cuda(device, index);
}

std::string whole_device_name(const std::string& device) {
  const int index = cuda_index(device);
  return index < 0 ? "cpu" : "cuda:" + std::to_string(index);
}

/// Of the CPU's allocator, of CUDA's runtime and of cuBLAS, which throw a plain c10::Error.
constexpr std::string_view out_of_memory_texts[] = {
    "not enough memory", "can't allocate memory", "CUDA error: out of memory",
    "cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED"};

bool is_out_of_memory(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) || dynamic_cast<const c10::OutOfMemoryError*>(&e))
    return true;
  const std::string_view text = e.what();
  return dynamic_cast<const c10::Error*>(&e)
         && std::ranges::any_of(out_of_memory_texts,
                                [=](auto part) { return text.find(part) != text.npos; });
}

} // namespace banyan
