#include "model/device.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <string_view>

#include <c10/util/Exception.h>

#ifdef BANYAN_HAS_CUDA
#include <filesystem>

#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <link.h>
#endif

namespace banyan {

namespace {

[[noreturn]] void refuse(std::string_view device, std::string_view why) {
  throw device_unavailable(std::string(device).append(": ").append(why));
}

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
  if (index < 0) refuse(device, "no such device; use cpu, cuda or cuda:N");
  return index;
}

#ifdef BANYAN_HAS_CUDA

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
      refuse(device,
             std::string("LibTorch's CUDA part cannot be loaded: ") + dlerror()
                 + "; install the CUDA 13 libraries (cuBLAS, cuDNN, NCCL, …) or use --device cpu");
    return true;
  }();
  static_cast<void>(loaded);
}

void require_cuda(std::string_view device, int index) {
  const int count = c10::cuda::device_count();
  if (count == 0) refuse(device, "no GPU or no CUDA driver on this machine; use --device cpu");
  if (index >= count)
    refuse(device, "this machine has " + std::to_string(count)
                       + " GPU(s), counted from 0; use cuda:" + std::to_string(count - 1));
  load_cuda(device);
  if (!at::hasCUDA())
    refuse(device, "LibTorch was used before its CUDA part was loaded; report this");
}

#else

void require_cuda(std::string_view device, int) {
  refuse(device, "this build has no CUDA kernels; build where nvcc is found or use --device cpu");
}

#endif

} // namespace

void require_device(const std::string& device) {
  const int index = cuda_index(device);
  if (index >= 0) require_cuda(device, index);
}

std::optional<std::uint64_t> free_bytes(const std::string& device) {
  require_device(device);
#ifdef BANYAN_HAS_CUDA
  if (const int index = cuda_index(device); index >= 0) {
    const c10::cuda::CUDAGuard on(static_cast<c10::DeviceIndex>(index));
    std::size_t free = 0, total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) refuse(device, "its memory cannot be read");
    return free;
  }
#endif
  return {};
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
