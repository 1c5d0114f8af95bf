#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace banyan {

// The part of device.hpp that builds with CUDA kernels have of their own. Private to model/.

/// Throws `device_unavailable`.
[[noreturn]] void refuse_device(std::string_view device, std::string_view why);

/// Makes the GPU of this index ready; `device` is how it was asked for.
void require_cuda(std::string_view device, int index);

/// Memory of a GPU that is ready.
std::uint64_t free_bytes_cuda(std::string_view device, int index);

/// Throws what a cudaError_t means: `device_memory_full`, or else std::runtime_error.
[[noreturn]] void throw_cuda_error(const std::string& what, int error);

} // namespace banyan
