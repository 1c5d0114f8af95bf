#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>

namespace banyan {

/// While it lives the CPU's allocator refuses requests that do not fit, as a machine whose memory
/// is used up does.
class scarce_memory : public c10::Allocator {
public:
  explicit scarce_memory(std::function<bool(std::size_t bytes)> fits)
      : plain_(c10::GetCPUAllocator()), fits_(std::move(fits)) {
    c10::SetCPUAllocator(this, 255);
  }
  explicit scarce_memory(std::size_t most)
      : scarce_memory([most](std::size_t bytes) { return bytes <= most; }) {}
  ~scarce_memory() override { c10::SetCPUAllocator(plain_, 255); }
  scarce_memory(const scarce_memory&) = delete;
  scarce_memory& operator=(const scarce_memory&) = delete;

  c10::DataPtr allocate(std::size_t bytes) override {
    if (!fits_(bytes)) TORCH_CHECK(false, "DefaultCPUAllocator: not enough memory");
    return plain_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return plain_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

private:
  c10::Allocator* plain_;
  std::function<bool(std::size_t bytes)> fits_;
};

} // namespace banyan
