#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

namespace banyan {

/// Counts the bytes of the CPU's tensors that were made while one of these lived. One at a time.
class counting_allocator : public c10::Allocator {
public:
  counting_allocator() : before_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, 255); }
  ~counting_allocator() override { c10::SetCPUAllocator(before_, 255); }

  std::size_t bytes() const { return bytes_; }
  std::size_t peak() const { return peak_; } ///< since the last reset
  void reset_peak() { peak_ = bytes_.load(); }

  c10::DataPtr allocate(std::size_t size) override {
    auto* memory =
        static_cast<char*>(std::aligned_alloc(room, (size + 2 * room - 1) / room * room));
    if (!memory) throw std::bad_alloc();
    std::memcpy(memory, &size, sizeof size);
    bytes_ += size;
    peak_ = std::max(peak_.load(), bytes_.load());
    memory += room;
    return {memory, memory, &give_back, c10::Device(c10::kCPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, std::size_t size) const override {
    default_copy_data(to, from, size);
  }

private:
  static constexpr std::size_t room = 64; // in front of the data, for its size; keeps it aligned

  static void give_back(void* data) {
    if (!data) return;
    auto* memory = static_cast<char*>(data) - room;
    std::size_t size = 0;
    std::memcpy(&size, memory, sizeof size);
    bytes_ -= size;
    std::free(memory);
  }

  // Tensors may outlive the allocator.
  static inline std::atomic<std::size_t> bytes_ = 0, peak_ = 0;
  c10::Allocator* before_;
};

} // namespace banyan
