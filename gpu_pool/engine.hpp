#pragma once

#include "gpu_pool/evaluator.hpp"
#include "gpu_pool/scheduler.hpp"
#include "model/sampler.hpp"
#include "model/transformer.hpp"

#include <memory>
#include <span>
#include <vector>

namespace banyan {

/// Runs steps: lanes to a batch, the batch through the evaluator, logits to tokens.
class engine {
public:
  engine(std::unique_ptr<evaluator>, std::int32_t block_size);

  /// The tokens that `scheduler::accept` takes; valid until the next call. Lanes of one epoch stand
  /// together: each such group is one forward pass. A sequence whose logits allow no token, for
  /// they are NaN, is marked with `bad_weights` and has none; the others of its step do not suffer.
  /// Throws what the evaluator throws.
  std::span<const sampled_token> run(std::span<const lane>);

  evaluator& device() { return *evaluator_; }

  /// Time spent in the evaluator.
  double forward_s() const { return forward_s_; }

private:
  void forward(std::span<const lane>);
  void gather(std::span<const lane>);
  void gather(const lane&);
  void read_all(std::span<const lane>, std::span<const float> logits);
  void read(const lane&, std::span<const float> rows, std::size_t vocab);

  std::unique_ptr<evaluator> evaluator_;
  std::int32_t block_size_;
  decode_batch batch_; // kept for its memory
  std::vector<sampled_token> tokens_;
  double forward_s_ = 0;
};

} // namespace banyan
