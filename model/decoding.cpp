#include "model/decoding.hpp"

#include "model/element_type.hpp"
#include "model/transformer.hpp"

#include <atomic>

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace banyan {

namespace {

/// Copying matrices pays off while they are small; beyond this many bytes it would cost memory for
/// products that a library does as fast.
constexpr std::int64_t max_packed_bytes = std::int64_t{512} << 20;

template <class Visit>
void for_each_matrix(const model_weights& w, Visit visit) {
  for (const auto& l : w.layers)
    for (const auto* m : {&l.qkv, &l.output, &l.gate_up, &l.down}) visit(*m);
  visit(w.head);
}

bool worth_packing(const model_weights& w) {
  std::int64_t bytes = 0;
  for_each_matrix(w, [&](const at::Tensor& m) { bytes += static_cast<std::int64_t>(m.nbytes()); });
  return w.embedding.is_cpu() && bytes <= max_packed_bytes;
}

/// Grows whenever a matrix is changed in place, as an optimiser does.
std::int64_t version_of(const model_weights& w) {
  std::int64_t sum = 0;
  for_each_matrix(w, [&](const at::Tensor& m) { sum += m.is_inference() ? 0 : m._version(); });
  return sum;
}

step_batch in_place(const decode_batch& b) {
  return {.ids = b.ids.data(),
          .positions = b.positions.data(),
          .slots = b.slots.data(),
          .starts = b.starts.data(),
          .block_starts = b.block_starts.data(),
          .wanted = b.wanted.data(),
          .blocks = b.blocks.data(),
          .tokens = static_cast<std::int64_t>(b.ids.size()),
          .sequences = static_cast<std::int64_t>(b.num_sequences())};
}

} // namespace

c10::Event launched_so_far(const at::Device& device) {
  c10::Event event(device.type());
  event.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return event;
}

decoding::all_products decoding::make_products(const model_weights& w) {
  const bool packed = worth_packing(w);
  const auto make = [=](const at::Tensor& weight) { return product(weight, packed); };
  all_products all{{}, make(w.head)};
  for (const auto& l : w.layers)
    all.layers.push_back({make(l.qkv), make(l.output), make(l.gate_up), make(l.down)});
  return all;
}

void decoding::prepare(const model_weights& w) {
  static std::atomic<std::uint64_t> made = 0;
  const std::lock_guard lock(mutex_);
  if (!rotary_.cos.defined()) {
    const auto [cos, sin] = make_rotary_tables(w.config, w.config.max_positions, at::kCPU);
    const auto device = w.embedding.device();
    rotary_ = {cos.to(device), sin.to(device)}; // waits: who shares them need not
  }
  const auto now = version_of(w);
  if (products_ && now == version_) return;
  products_ = make_products(w);
  version_ = now;
  identity_ = ++made;
  if (!w.embedding.is_cpu()) ready_ = launched_so_far(w.embedding.device());
}

at::Tensor decode_on_cpu(const decoding& d, const model_weights& w, const decode_batch& b,
                         kv_cache& cache) {
  auto& a = cache.scratch().of(static_cast<std::int64_t>(b.ids.size()));
  return with_type(w.embedding, [&]<class T>(T) {
    const decode_step<T, on_cpu> step(in_place(b), w.config, d.rotary(), cache);
    d.layers(w, step, a);
    return d.logits(w, step, a, static_cast<std::int64_t>(b.wanted.size()));
  });
}

} // namespace banyan
