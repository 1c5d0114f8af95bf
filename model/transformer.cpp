#include "model/transformer.hpp"

#include "model/decode_scratch.hpp"
#include "model/decode_step.hpp"
#include "model/device.hpp"
#include "model/kv_cache.hpp"
#include "model/lanes.hpp"
#include "model/padded_batch.hpp"
#include "model/product.hpp"
#include "model/weights.hpp"

#ifdef BANYAN_HAS_CUDA
#include "model/cuda_runner.hpp"
#endif

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace banyan {

namespace {

struct layer_products {
  product qkv, output, gate_up, down;
};

struct all_products {
  std::vector<layer_products> layers;
  product head;
};

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

all_products make_products(const model_weights& w) {
  const bool packed = worth_packing(w);
  const auto make = [=](const at::Tensor& weight) { return product(weight, packed); };
  all_products all{{}, make(w.head)};
  for (const auto& l : w.layers)
    all.layers.push_back({make(l.qkv), make(l.output), make(l.gate_up), make(l.down)});
  return all;
}

/// Grows whenever a matrix is changed in place, as an optimiser does.
std::int64_t version_of(const model_weights& w) {
  std::int64_t sum = 0;
  for_each_matrix(w, [&](const at::Tensor& m) { sum += m.is_inference() ? 0 : m._version(); });
  return sum;
}

/// Comes about when the device has done what was launched on its current stream so far.
c10::Event launched_so_far(const at::Device& device) {
  c10::Event event(device.type());
  event.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return event;
}

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("decode_batch: ") + what);
}

bool all_below(const std::vector<std::int32_t>& values, std::int64_t limit) {
  return std::all_of(values.begin(), values.end(), [=](auto x) { return x >= 0 && x < limit; });
}

bool rises_from_0_to(const std::vector<std::int32_t>& starts, std::size_t end) {
  return starts.front() == 0 && std::is_sorted(starts.begin(), starts.end())
         && static_cast<std::size_t>(starts.back()) == end;
}

/// Kernels follow these numbers without looking, so a wrong one must stop here. Costs about a
/// nanosecond per number.
void check(const decode_batch& b, const model_config& c, const kv_cache& cache) {
  const auto tokens = b.ids.size();
  require(b.positions.size() == tokens && b.slots.size() == tokens,
          "one position and slot a token");
  require(static_cast<std::int64_t>(tokens) <= cache.max_tokens(),
          "more tokens than the cache takes in a step");
  require(b.num_sequences() > 0 && b.block_starts.size() == b.starts.size(),
          "one block table a sequence");
  require(rises_from_0_to(b.starts, tokens), "`starts` must rise to the number of tokens");
  require(rises_from_0_to(b.block_starts, b.blocks.size()), "`block_starts` must rise to the end");
  require(all_below(b.ids, c.vocab_size), "an id is not in the vocabulary");
  require(all_below(b.positions, c.max_positions), "a position is beyond max_positions");
  require(all_below(b.slots, cache.num_blocks() * cache.block_size()),
          "a slot is not in the cache");
  require(all_below(b.blocks, cache.num_blocks()), "a block is not in the cache");
  require(all_below(b.wanted, static_cast<std::int64_t>(tokens)), "a wanted token does not exist");
  require(std::ranges::adjacent_find(b.wanted, std::greater_equal()) == b.wanted.end(),
          "`wanted` must rise");
  for (std::size_t i = 0; i < b.num_sequences(); ++i) {
    require(b.starts[i] < b.starts[i + 1], "a sequence has no token");
    const auto blocks = b.block_starts[i + 1] - b.block_starts[i];
    require(blocks <= cache.max_blocks_of_sequence(), "a block table is beyond max_positions");
    const auto covered = blocks * cache.block_size();
    for (auto token = b.starts[i]; token < b.starts[i + 1]; ++token)
      require(b.positions[static_cast<std::size_t>(token)] < covered, "a block table is too short");
  }
}

void check(const kv_cache& cache, const model_weights& w) {
  const auto& keys = cache.keys;
  require(keys.options().type_equal(w.embedding.options()) && keys.device() == w.embedding.device(),
          "the cache must have the weights' precision and device");
  require(cache.serves(w.config), "the cache must have been made for the model's shape");
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

/// Calls body(T{}) with the type of these weights.
template <class Body>
auto with_type(const at::Tensor& x, const Body& body) {
  return x.scalar_type() == at::kFloat ? body(float{}) : body(bfloat16{});
}

} // namespace

rotary_tables make_rotary_tables(const model_config& c, const at::Device& device) {
  const auto options = at::TensorOptions(at::kDouble);
  const auto steps = at::arange(0, c.head_dim, 2, options);
  const auto inverse = at::pow(c.rope_theta, -steps / static_cast<double>(c.head_dim));
  const auto angle = at::outer(at::arange(c.max_positions, options), inverse);
  return {angle.cos().to(device, at::kFloat), angle.sin().to(device, at::kFloat)};
}

/// What decoding needs of the weights beside themselves.
struct transformer::decode_state {
  std::mutex mutex; // of what follows; nobody writes once it is prepared
  rotary_tables rotary;
  std::optional<all_products> products;
  std::int64_t version = 0;        // of the weights in `products`
  std::uint64_t identity = 0;      // of these products among all there ever were
  std::optional<c10::Event> ready; // not on the CPU: the device has the weights of `version`

  /// Follows weights that have changed since the last step; a model that never decodes copies none.
  void prepare(const model_weights& w) {
    static std::atomic<std::uint64_t> made = 0;
    const std::lock_guard lock(mutex);
    if (!rotary.cos.defined()) rotary = make_rotary_tables(w.config, w.embedding.device());
    if (const auto now = version_of(w); !products || now != version) {
      products = make_products(w);
      version = now;
      identity = ++made;
      if (const auto device = w.embedding.device(); !device.is_cpu())
        ready = launched_so_far(device);
    }
  }

  /// What all layers do to the residual stream.
  template <class Step>
  void layers(const model_weights& w, const Step& step, activations& a) {
    step.embed(w.embedding, a.residual);
    for (std::size_t i = 0; i < w.layers.size(); ++i) {
      const auto layer = static_cast<std::int64_t>(i);
      const auto& products_of = products->layers[i];
      step.norm(a.residual, w.layers[i].attention_norm, a.normed);
      products_of.qkv.into(a.normed, a.qkv);
      step.rotate_and_store(layer, a.qkv);
      step.attend(layer, a.qkv, a.attended);
      products_of.output.add_to(a.attended, a.residual, a.normed);

      step.norm(a.residual, w.layers[i].mlp_norm, a.normed);
      products_of.gate_up.into(a.normed, a.gate_up);
      step.gate(a.gate_up, a.gated);
      products_of.down.add_to(a.gated, a.residual, a.normed);
    }
  }

  template <class Step>
  at::Tensor logits(const model_weights& w, const Step& step, activations& a, std::int64_t wanted) {
    auto last = a.normed.narrow(0, 0, wanted);
    step.norm_wanted(a.residual, w.final_norm, last);
    auto result = at::empty({wanted, w.config.vocab_size}, a.residual.options());
    products->head.into(last, result);
    return result;
  }

  at::Tensor on_cpu(const model_weights& w, const decode_batch& b, kv_cache& cache) {
    auto& a = cache.scratch().of(static_cast<std::int64_t>(b.ids.size()));
    return with_type(w.embedding, [&]<class T>(T) {
      const decode_step<T, cpu_kernels> step(in_place(b), w.config, rotary, cache);
      layers(w, step, a);
      return logits(w, step, a, static_cast<std::int64_t>(b.wanted.size()));
    });
  }

#ifdef BANYAN_HAS_CUDA
  at::Tensor on_cuda(const model_weights& w, const decode_batch& b, kv_cache& cache) {
    auto& cuda = cache.scratch().cuda;
    if (!cuda) {
      const auto device = w.embedding.device();
      const auto max_tokens = cache.max_tokens();
      cuda = std::make_shared<cuda_runner>(
          device, padded_batch::numbers(padded_batch::size_for(max_tokens),
                                        max_tokens * cache.max_blocks_of_sequence()));
      cuda->wait_for(launched_so_far(device)); // on what may have been the cache's memory
    }
    cuda->wait_for(*ready);
    const cuda_runner::guard guard(*cuda);
    const padded_batch padded(b, padded_batch::size_for(static_cast<std::int64_t>(b.ids.size())));
    auto& a = cache.scratch().of(padded.tokens());
    const auto uploaded = cuda->upload(padded);
    return with_type(w.embedding, [&]<class T>(T) {
      const decode_step<T, cuda_kernels> step(uploaded, w.config, rotary, cache,
                                              {.stream = cuda->stream()});
      cuda->run({identity, padded.tokens()}, [&] { layers(w, step, a); });
      return cuda->download(logits(w, step, a, static_cast<std::int64_t>(b.wanted.size())));
    });
  }
#else
  at::Tensor on_cuda(const model_weights& w, const decode_batch&, kv_cache&) {
    throw std::invalid_argument(w.embedding.device().str() + ": this build has no CUDA kernels");
  }
#endif
};

transformer::transformer(std::shared_ptr<const model_weights> weights)
    : weights_(std::move(weights)), decode_(std::make_unique<decode_state>()) {}

transformer::transformer(std::shared_ptr<const model_weights> weights, const transformer& older)
    : transformer(std::move(weights)) {
  decode_->rotary = older.decode_->rotary; // nobody writes to prepared ones: no lock
}

transformer::~transformer() = default;

const model_config& transformer::config() const { return weights_->config; }

void transformer::prepare() const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  decode_->prepare(*weights_);
}

at::Tensor transformer::decode(const decode_batch& batch, kv_cache& cache) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const auto& table = weights_->embedding;
  check(cache, *weights_);
  check(batch, config(), cache);
  const std::lock_guard lock(cache.scratch().mutex);
  decode_->prepare(*weights_);
  return table.is_cpu() ? decode_->on_cpu(*weights_, batch, cache)
                        : decode_->on_cuda(*weights_, batch, cache);
}

} // namespace banyan
