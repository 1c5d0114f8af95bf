#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace at {
class Tensor;
}

namespace banyan {

class decoding;
class kv_cache;
struct model_weights;

/// One step of decoding for several sequences; prefill and decode may be mixed. Every sequence has
/// a token at least. All vectors are flat, sequence after sequence.
struct decode_batch {
  std::vector<std::int32_t> ids;       ///< [tokens]
  std::vector<std::int32_t> positions; ///< [tokens] from 0 in each sequence
  std::vector<std::int32_t> slots;     ///< [tokens] where K and V go: block · block_size + offset
  std::vector<std::int32_t> starts;    ///< [sequences + 1] first token of each sequence
  std::vector<std::int32_t> blocks;    ///< block tables, one after the other
  std::vector<std::int32_t> block_starts; ///< [sequences + 1] first entry of each block table
  std::vector<std::int32_t> wanted;       ///< tokens whose logits are wanted, rising

  std::size_t num_sequences() const { return starts.empty() ? 0 : starts.size() - 1; }
};

/// Sequences for training, one after the other without padding. Attention is causal within what is
/// visible: inside a sequence, the query at `i` sees the key at `j` if j <= i < visible_until[j].
/// That one number per token describes plain sequences (`visible_always`) and trees laid out depth
/// first (the end of the segment's subtree), so that what the threads of a tree share is computed
/// once.
struct sequence_batch {
  std::vector<std::int32_t> ids;           ///< [tokens]
  std::vector<std::int32_t> positions;     ///< [tokens] for the rotary embedding
  std::vector<std::int32_t> visible_until; ///< [tokens] index within the sequence
  std::vector<std::int32_t> starts;        ///< [sequences + 1] first token of each sequence
};

inline constexpr std::int32_t visible_always = std::numeric_limits<std::int32_t>::max();

/// A Llama-architecture transformer: RMSNorm, rotary embeddings (rotate-half, as in Hugging Face),
/// grouped-query attention, SwiGLU. Forward passes only; weights are shared and never changed here.
class transformer {
public:
  explicit transformer(std::shared_ptr<const model_weights>);
  /// New weights for an older model of the same config on the same device, which has been prepared:
  /// its tables serve both.
  transformer(std::shared_ptr<const model_weights>, const transformer& older);
  ~transformer();

  const model_config& config() const;

  /// Decodes one step: writes K and V of every token into the cache and returns the logits of the
  /// wanted tokens, [wanted, vocab] float32 in the host's memory. No autograd. The cache must have
  /// the weights' precision and device and have been made for the model's shape; this and a batch
  /// that points outside cache, vocabulary or positions throw std::invalid_argument.
  ///
  /// On a CUDA device a step has a stream of its own, and one whose number of tokens occurs again
  /// is replayed as a CUDA graph.
  ///
  /// With small weights on the CPU a token's logits are the same to the last bit whatever shares
  /// its batch and however its prompt was cut into steps. Weights that were changed in place
  /// between two steps are followed, if LibTorch could see the change and, on a CUDA device, it was
  /// launched on the stream that is current in the next step's caller. One step over a cache at a
  /// time, others wait; steps over different caches do not.
  at::Tensor decode(const decode_batch&, kv_cache&) const;

  /// Does what the first `decode` would do before it can begin (tables, packed matrices), so that
  /// it need not. Any OS thread may call it beside steps of other models. A CUDA device is not
  /// waited for: steps begin there when it has done what was launched on the current stream.
  void prepare() const;

  /// Logits for training, with autograd: [tokens, vocab] float32. `compute` is the precision of
  /// matrix products and attention; the residual stream stays in float32. `selected` (int64
  /// indices; may be undefined: all) limits the rows to the tokens that carry loss. `recompute`: of
  /// each layer only its input is kept, and the layer runs again in the backward pass, with the
  /// same gradients; that needs a fraction of the memory and about a third more time.
  at::Tensor forward(const sequence_batch&, const at::Tensor& selected, dtype compute,
                     bool recompute = false) const;

  const std::shared_ptr<const model_weights>& weights() const { return weights_; }

private:
  std::shared_ptr<const model_weights> weights_;
  std::unique_ptr<decoding> decoding_; // what only decoding needs
};

} // namespace banyan
