#include "model/kv_cache.hpp"

#include "model/decode_scratch.hpp"
#include "model/device.hpp"
#include "model/element_type.hpp"

#include <cstdint>

#include <ATen/ops/empty.h>
#include <sys/mman.h>
#include <unistd.h>

namespace banyan {

namespace {

/// Attention walks the whole cache at every step; with pages of 2 MiB fewer of its addresses miss
/// the TLB. A hint: where the kernel declines, nothing is lost.
void ask_for_huge_pages(const at::Tensor& memory) {
#ifdef MADV_HUGEPAGE
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data_ptr());
  const auto first = (begin + page - 1) / page * page;
  const auto last = (begin + memory.nbytes()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

} // namespace

kv_cache::kv_cache(const model_config& c, const cache_size& size, dtype type,
                   const std::string& device)
    : config_(c), size_(size) {
  require_device(device);
  const auto options = at::TensorOptions(at::Device(device)).dtype(scalar_type(type));
  for (auto part : {&keys, &values}) {
    *part = at::empty({c.num_layers, size.num_blocks, size.block_size, c.num_kv_heads, c.head_dim},
                      options);
    if (part->is_cpu()) ask_for_huge_pages(*part);
  }
  scratch_ = std::make_unique<decode_scratch>(c, options, size.max_tokens);
}

kv_cache::~kv_cache() = default;

std::int64_t kv_cache::max_blocks_of_sequence() const {
  return (config_.max_positions + size_.block_size - 1) / size_.block_size;
}

bool kv_cache::serves(model_config c) const {
  c.stored = config_.stored;
  return c == config_;
}

std::int64_t kv_cache::block_bytes(const model_config& c, std::int64_t block_size, dtype type) {
  return 2 * c.num_layers * block_size * c.num_kv_heads * c.head_dim
         * static_cast<std::int64_t>(c10::elementSize(scalar_type(type)));
}

} // namespace banyan
