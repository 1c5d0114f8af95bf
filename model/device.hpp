#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace banyan {

/// A device that this machine or this build has not. `what()` is one line that names the device,
/// what is wrong and what to do.
struct device_unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Makes "cpu", "cuda" or "cuda:N" ready for use, or throws `device_unavailable`. LibTorch's CUDA
/// part is loaded here, at the first CUDA device, so that programs for the CPU neither link nor
/// wait for it: call this before LibTorch hears of a CUDA device in any other way. Cheap once the
/// device is ready.
void require_device(const std::string& device);

/// Memory of a GPU that nobody holds; nothing for the CPU. Throws as `require_device`.
std::optional<std::uint64_t> free_bytes(const std::string& device);

/// "cpu" or "cuda:N", as LibTorch names where a tensor is: "cuda" is "cuda:0". Throws
/// `device_unavailable` for what is no name of a device.
std::string whole_device_name(const std::string& device);

/// What our own use of a GPU throws where its memory does not suffice.
struct device_memory_full : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Is this what LibTorch, the allocator or our own code throws where memory does not suffice, on
/// any device?
bool is_out_of_memory(const std::exception&);

} // namespace banyan
