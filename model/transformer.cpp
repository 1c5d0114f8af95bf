#include "model/transformer.hpp"

#include "model/decode_step.hpp"
#include "model/device.hpp"
#include "model/kv_cache.hpp"
#include "model/lanes.hpp"
#include "model/weights.hpp"

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/DeviceGuard.h>

namespace banyan {

namespace {

/// The matrices of a layer as right operands of a product.
struct layer_products {
  at::Tensor qkv, output, gate_up, down; // transposed views: [in, out]
};

/// Results on their way through a layer, for one number of tokens.
struct activations {
  at::Tensor residual; // [tokens, d] float32
  // In the weights' type:
  at::Tensor normed, delta;  // [tokens, d]
  at::Tensor qkv;            // [tokens, (heads + 2 · kv_heads) · head_dim]
  at::Tensor attended;       // [tokens, heads · head_dim]
  at::Tensor gate_up, gated; // [tokens, 2 f], [tokens, f]

  static constexpr at::Tensor activations::*all[] = {
      &activations::residual, &activations::normed,  &activations::delta, &activations::qkv,
      &activations::attended, &activations::gate_up, &activations::gated};
};

activations allocate(const model_weights& w, std::int64_t tokens) {
  const auto& c = w.config;
  const auto options = w.embedding.options();
  auto make = [&](std::int64_t width) { return at::empty({tokens, width}, options); };
  return {.residual = at::empty({tokens, c.hidden_size}, options.dtype(at::kFloat)),
          .normed = make(c.hidden_size),
          .delta = make(c.hidden_size),
          .qkv = make((c.num_heads + 2 * c.num_kv_heads) * c.head_dim),
          .attended = make(c.num_heads * c.head_dim),
          .gate_up = make(2 * c.intermediate_size),
          .gated = make(c.intermediate_size)};
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
  for (std::size_t i = 0; i < b.num_sequences(); ++i) {
    const auto covered = (b.block_starts[i + 1] - b.block_starts[i]) * cache.block_size();
    for (auto token = b.starts[i]; token < b.starts[i + 1]; ++token)
      require(b.positions[static_cast<std::size_t>(token)] < covered, "a block table is too short");
  }
}

} // namespace

struct transformer::decode_state {
  std::vector<layer_products> layers;
  at::Tensor head; // [d, vocab], a transposed view
  rotary_tables rotary;
  std::mutex mutex; // the activations serve one call at a time
  activations whole, part;

  explicit decode_state(const model_weights& w)
      : head(w.head.detach().t()), rotary(make_rotary_tables(w.config, w.embedding.device())) {
    for (const auto& layer : w.layers)
      layers.push_back({layer.qkv.detach().t(), layer.output.detach().t(),
                        layer.gate_up.detach().t(), layer.down.detach().t()});
  }

  /// Activations for this many tokens; allocates only where no earlier step had as many.
  activations& reserve(const model_weights& w, std::int64_t tokens) {
    if (!whole.residual.defined() || whole.residual.size(0) < tokens) {
      whole = allocate(w, tokens);
      part = whole;
    }
    if (part.residual.size(0) != tokens)
      for (auto member : activations::all) part.*member = (whole.*member).narrow(0, 0, tokens);
    return part;
  }

  template <class Step>
  at::Tensor run(const model_weights& w, const Step& step, activations& a, std::int64_t wanted) {
    step.embed(w.embedding, a.residual);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto layer = static_cast<std::int64_t>(i);
      step.norm(a.residual, w.layers[i].attention_norm, a.normed);
      at::mm_out(a.qkv, a.normed, layers[i].qkv);
      step.rotate_and_store(layer, a.qkv);
      step.attend(layer, a.qkv, a.attended);
      add_product(step, a.attended, layers[i].output, a);

      step.norm(a.residual, w.layers[i].mlp_norm, a.normed);
      at::mm_out(a.gate_up, a.normed, layers[i].gate_up);
      step.gate(a.gate_up, a.gated);
      add_product(step, a.gated, layers[i].down, a);
    }
    auto last = a.normed.narrow(0, 0, wanted);
    step.norm_wanted(a.residual, w.final_norm, last);
    return at::mm(last, head).to(at::kFloat);
  }

  /// residual += x · matrix
  template <class Step>
  static void add_product(const Step& step, const at::Tensor& x, const at::Tensor& matrix,
                          activations& a) {
    if (x.scalar_type() == at::kFloat) {
      a.residual.addmm_(x, matrix);
    } else {
      at::mm_out(a.delta, x, matrix);
      step.add(a.delta, a.residual);
    }
  }
};

transformer::transformer(std::shared_ptr<const model_weights> weights)
    : weights_(std::move(weights)), decode_(std::make_unique<decode_state>(*weights_)) {}

transformer::~transformer() = default;

const model_config& transformer::config() const { return weights_->config; }

at::Tensor transformer::decode(const decode_batch& batch, kv_cache& cache) const {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  const auto& table = weights_->embedding;
  require(cache.keys.options().type_equal(table.options()) && cache.keys.device() == table.device(),
          "the cache must have the weights' precision and device");
  check(batch, config(), cache);
  std::lock_guard lock(decode_->mutex);
  auto& a = decode_->reserve(*weights_, static_cast<std::int64_t>(batch.ids.size()));
  auto run = [&](const auto& step) {
    return decode_->run(*weights_, step, a, static_cast<std::int64_t>(batch.wanted.size()));
  };
  if (!table.is_cpu()) {
    c10::DeviceGuard guard(table.device());
    return run(aten_step(batch, config(), decode_->rotary, cache));
  }
  if (table.scalar_type() == at::kFloat)
    return run(cpu_step<float>(batch, config(), decode_->rotary, cache));
  return run(cpu_step<bfloat16>(batch, config(), decode_->rotary, cache));
}

} // namespace banyan
