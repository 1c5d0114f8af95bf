#include "model/device.hpp"

#include "model/device_cuda.hpp"
#include "model/device_name.hpp"

#include <algorithm>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

namespace banyan {

namespace {

device_name read(const std::string& device) {
  const auto name = parse_device(device);
  if (!name) refuse_device(device, "no such device; use cpu, cuda or cuda:N");
  return *name;
}

} // namespace

void refuse_device(std::string_view device, std::string_view why) {
  throw device_unavailable(std::string(device).append(": ").append(why));
}

void require_device(const std::string& device) {
  const auto name = read(device);
  if (name.type == device_name::kind::cuda) require_cuda(device, name.index);
}

std::optional<std::uint64_t> free_bytes(const std::string& device) {
  require_device(device);
  const auto name = read(device);
  if (name.type == device_name::kind::cpu) return {};
  return free_bytes_cuda(device, name.index);
}

std::string whole_device_name(const std::string& device) { return to_string(read(device)); }

/// Of the CPU's allocator, of CUDA's runtime and of cuBLAS, which throw a plain c10::Error.
constexpr std::string_view out_of_memory_texts[] = {
    "not enough memory",         "can't allocate memory",      "CUDA error: out of memory",
    "cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED"};

bool is_out_of_memory(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) || dynamic_cast<const c10::OutOfMemoryError*>(&e)
      || dynamic_cast<const device_memory_full*>(&e))
    return true;
  const std::string_view text = e.what();
  return dynamic_cast<const c10::Error*>(&e)
         && std::ranges::any_of(out_of_memory_texts,
                                [=](auto part) { return text.find(part) != text.npos; });
}

} // namespace banyan
