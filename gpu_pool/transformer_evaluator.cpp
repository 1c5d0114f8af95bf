#include "gpu_pool/evaluator.hpp"

#include "model/checkpoint.hpp"
#include "model/kv_cache.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

namespace banyan {

namespace {

class transformer_evaluator : public evaluator {
public:
  transformer_evaluator(const checkpoint& from, const evaluator_options& options)
      : options_(options),
        vocab_size_(from.vocabulary->vocab_size()),
        model_(std::make_unique<transformer>(from.weights)),
        cache_(from.config, options.num_blocks, options.block_size, options.precision,
               options.device) {}

  std::span<const float> run(const decode_batch& batch) override {
    use_os_threads();
    logits_ = model_->decode(batch, cache_).cpu().contiguous();
    return {logits_.const_data_ptr<float>(), static_cast<std::size_t>(logits_.numel())};
  }

  void load(const std::filesystem::path& folder) override {
    auto next = load_checkpoint(folder, options_.precision, options_.device);
    auto shape = next.config;
    shape.stored = model_->config().stored;
    if (shape != model_->config() || next.vocabulary->vocab_size() != vocab_size_)
      throw bad_checkpoint(folder.string()
                           + ": the model has another shape; publish weights of the same shape");
    model_ = std::make_unique<transformer>(std::move(next.weights));
  }

private:
  /// LibTorch counts threads per OS thread, so it must be told on the one that computes.
  void use_os_threads() {
    if (options_.os_threads > 0 && at::get_num_threads() != options_.os_threads)
      at::set_num_threads(options_.os_threads);
  }

  evaluator_options options_;
  std::int32_t vocab_size_;
  std::unique_ptr<transformer> model_;
  kv_cache cache_;
  at::Tensor logits_; // [wanted, vocab]
};

} // namespace

std::unique_ptr<evaluator> make_transformer_evaluator(const checkpoint& from,
                                                      const evaluator_options& options) {
  return std::make_unique<transformer_evaluator>(from, options);
}

} // namespace banyan
