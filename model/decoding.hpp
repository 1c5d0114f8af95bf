#pragma once

#include "model/decode_scratch.hpp"
#include "model/decode_step.hpp"
#include "model/product.hpp"
#include "model/weights.hpp"

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>

namespace banyan {

struct decode_batch;

/// What decoding needs of the weights beside themselves, and what it does with both. Private to
/// model/.
class decoding {
public:
  /// Follows weights that have changed since the last step; a model that never decodes copies none.
  void prepare(const model_weights&);

  /// Takes the tables of an older model of the same config and device, which has been prepared.
  void share_tables(const decoding& older) { rotary_ = older.rotary_; }

  /// Of these weights' products among all that there ever were.
  std::uint64_t identity() const { return identity_; }
  const rotary_tables& rotary() const { return rotary_; }

  /// Comes about when the device has the weights; none on the CPU.
  const std::optional<c10::Event>& ready() const { return ready_; }

  /// What all layers do to the residual stream.
  template <class Step>
  void layers(const model_weights& w, const Step& step, activations& a) const {
    step.embed(w.embedding, a.residual);
    for (std::size_t i = 0; i < w.layers.size(); ++i) {
      const auto layer = static_cast<std::int64_t>(i);
      const auto& products = products_->layers[i];
      step.norm(a.residual, w.layers[i].attention_norm, a.normed);
      products.qkv.into(a.normed, a.qkv);
      step.rotate_and_store(layer, a.qkv);
      step.attend(layer, a.qkv, a.attended);
      products.output.add_to(a.attended, a.residual, a.normed);

      step.norm(a.residual, w.layers[i].mlp_norm, a.normed);
      products.gate_up.into(a.normed, a.gate_up);
      step.gate(a.gate_up, a.gated);
      products.down.add_to(a.gated, a.residual, a.normed);
    }
  }

  template <class Step>
  at::Tensor logits(const model_weights& w, const Step& step, activations& a,
                    std::int64_t wanted) const {
    auto last = a.normed.narrow(0, 0, wanted);
    step.norm_wanted(a.residual, w.final_norm, last);
    auto result = at::empty({wanted, w.config.vocab_size}, a.residual.options());
    products_->head.into(last, result);
    return result;
  }

private:
  struct layer_products {
    product qkv, output, gate_up, down;
  };
  struct all_products {
    std::vector<layer_products> layers;
    product head;
  };
  static all_products make_products(const model_weights&);

  std::mutex mutex_; // of what follows; nobody writes once it is prepared
  rotary_tables rotary_;
  std::optional<all_products> products_;
  std::int64_t version_ = 0; // of the weights in `products_`
  std::uint64_t identity_ = 0;
  std::optional<c10::Event> ready_;
};

/// Comes about when the device has done what was launched on its current stream so far.
c10::Event launched_so_far(const at::Device&);

/// Logits of the wanted tokens, [wanted, vocab] float32 in the host's memory. The batch has been
/// checked and the weights prepared; nobody else decodes into the cache.
at::Tensor decode_on_cpu(const decoding&, const model_weights&, const decode_batch&, kv_cache&);
at::Tensor decode_on_cuda(const decoding&, const model_weights&, const decode_batch&, kv_cache&);

} // namespace banyan
