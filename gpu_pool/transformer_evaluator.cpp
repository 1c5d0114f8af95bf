#include "gpu_pool/evaluator.hpp"

#include "model/checkpoint.hpp"
#include "model/kv_cache.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <map>

namespace banyan {

namespace {

class transformer_evaluator : public evaluator {
public:
  transformer_evaluator(const checkpoint& from, const evaluator_options& options)
      : options_(options),
        vocab_size_(from.vocabulary->vocab_size()),
        models_{{options.weights_epoch, std::make_shared<transformer>(from.weights)}},
        cache_(
            from.config,
            {options.num_blocks, options.block_size, static_cast<std::int64_t>(options.max_tokens)},
            options.precision, options.device) {
    // What brought the weights to a GPU may still be under way on another stream than a step's.
    models_.begin()->second->prepare();
  }

  std::span<const float> run(const decode_batch& batch, std::uint32_t epoch) override {
    use_os_threads();
    logits_ = models_.at(epoch)->decode(batch, cache_);
    return {logits_.const_data_ptr<float>(), static_cast<std::size_t>(logits_.numel())};
  }

  void take(std::uint32_t epoch, std::shared_ptr<const transformer> model) override {
    require_same_shape(model->config(), "the published model");
    const auto& table = model->weights()->embedding;
    const auto& keys = cache_.keys;
    if (!keys.options().type_equal(table.options()) || keys.device() != table.device())
      throw bad_checkpoint("the published model: it has another precision or lies on another "
                           "device; copy its weights to the pool's");
    models_.insert_or_assign(epoch, std::move(model));
  }

  void load(std::uint32_t epoch, const std::filesystem::path& folder) override {
    auto next = load_checkpoint(folder, options_.precision, options_.device);
    require_same_shape(next.config, folder.string());
    if (next.vocabulary->vocab_size() != vocab_size_) throw other_shape(folder.string());
    const auto model = std::make_shared<transformer>(std::move(next.weights));
    model->prepare();
    models_.insert_or_assign(epoch, model);
  }

  void forget(std::uint32_t epoch) override { models_.erase(epoch); }

private:
  static bad_checkpoint other_shape(const std::string& name) {
    return bad_checkpoint(name
                          + ": the model has another shape; publish weights of the same shape");
  }

  void require_same_shape(model_config shape, const std::string& name) const {
    const auto& ours = models_.begin()->second->config();
    shape.stored = ours.stored;
    if (shape != ours) throw other_shape(name);
  }

  /// LibTorch counts threads per OS thread, so it must be told on the one that computes.
  void use_os_threads() {
    if (options_.os_threads > 0 && at::get_num_threads() != options_.os_threads)
      at::set_num_threads(options_.os_threads);
  }

  evaluator_options options_;
  std::int32_t vocab_size_;
  std::map<std::uint32_t, std::shared_ptr<const transformer>> models_; // by epoch; never empty
  kv_cache cache_;
  at::Tensor logits_; // [wanted, vocab]
};

} // namespace

std::unique_ptr<evaluator> make_transformer_evaluator(const checkpoint& from,
                                                      const evaluator_options& options) {
  return std::make_unique<transformer_evaluator>(from, options);
}

} // namespace banyan
