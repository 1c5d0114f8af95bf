#include "model/device_cuda.hpp"

#include "model/device.hpp"

#include <filesystem>
#include <string>

#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <link.h>

namespace banyan {

namespace {

/// libtorch_cuda.so lies beside the libtorch_cpu.so that runs.
std::filesystem::path cuda_library() {
  const std::filesystem::path name = "libtorch_cuda.so";
  auto cpu = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY);
  if (!cpu) return name;
  link_map* map = nullptr;
  const bool found = dlinfo(cpu, RTLD_DI_LINKMAP, &map) == 0;
  const auto path = found ? std::filesystem::path(map->l_name).parent_path() / name : name;
  dlclose(cpu);
  return path;
}

/// Never unloaded: it registers its operators for the life of the process.
void load_cuda(std::string_view device) {
  static const bool loaded = [&] {
    if (!dlopen(cuda_library().c_str(), RTLD_NOW | RTLD_GLOBAL))
      refuse_device(
          device,
          std::string("LibTorch's CUDA part cannot be loaded: ") + dlerror()
              + "; install the CUDA 13 libraries (cuBLAS, cuDNN, NCCL, …) or use the device cpu");
    return true;
  }();
  static_cast<void>(loaded);
}

} // namespace

void require_cuda(std::string_view device, int index) {
  const int count = c10::cuda::device_count();
  if (count == 0)
    refuse_device(device, "no GPU or no CUDA driver on this machine; use the device cpu");
  if (index >= count)
    refuse_device(device, "this machine has " + std::to_string(count)
                              + " GPU(s), counted from 0; use cuda:" + std::to_string(count - 1));
  load_cuda(device);
  if (!at::hasCUDA())
    refuse_device(device, "LibTorch was used before its CUDA part was loaded; report this");
}

std::uint64_t free_bytes_cuda(std::string_view device, int index) {
  const c10::cuda::CUDAGuard on(static_cast<c10::DeviceIndex>(index));
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess)
    refuse_device(device, "its memory cannot be read");
  return free;
}

void throw_cuda_error(const std::string& what, int error) {
  const auto code = static_cast<cudaError_t>(error);
  const auto text = what + ": " + cudaGetErrorString(code);
  if (code == cudaErrorMemoryAllocation) throw device_memory_full(text);
  throw std::runtime_error(text);
}

} // namespace banyan
