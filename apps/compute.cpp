#include "apps/compute.hpp"

#include <thread>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <ATen/Parallel.h>

namespace banyan {

void use_threads(int count) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  at::set_num_threads(count > 0 ? count : cores > 0 ? cores : 1);
}

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20); // the most that glibc allows
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

} // namespace banyan
