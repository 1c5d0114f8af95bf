#pragma once

#include "model/config.hpp"
#include "trainer/credit.hpp"
#include "trainer/grpo.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/optimizer.hpp"
#include "trainer/run_voice.hpp"
#include "trainer/shared_prefix.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace banyan {

struct model_weights;
struct rollout_group;

/// How the tokens of a step are weighed against each other.
enum class token_mean : std::uint8_t {
  sequence, ///< mean over a thread's tokens, then over the threads of a tree, then over trees (the
            ///< paper's: a long thread counts no more than a short one)
  batch,    ///< mean over all tokens of the step (DAPO, arXiv 2503.14476)
};

struct learner_options {
  grpo_options loss;
  credit_options credit;
  token_mean mean = token_mean::sequence;
  optimizer_options optimizer;
  std::int64_t inner_steps = 1; ///< updates over the same trees
  double temperature = 1;       ///< under which they were sampled
  dtype compute = dtype::float32;
  std::size_t micro_tokens = 16384; ///< that go through the model at a time; gradients add up
  bool recompute = false;           ///< activations again in the backward pass, for less memory
};

/// The threads of a step as sequences, a group after the other, each term with its advantage and
/// weight; all weights add up to 1, less those of threads that are left out because nothing can be
/// learnt from them (no advantage, and no distance to a reference). Throws std::invalid_argument
/// for sampled tokens that lack ids, logprobs or epochs.
std::vector<shared_sequence> lay_out(std::span<const rollout_group>, const learner_options&);

/// What a step of learning was like.
struct learn_figures {
  grpo_figures sums;                        ///< of the first pass over the trees
  double clip_share = 0;                    ///< of the terms of all passes: where the clip decided
  double grad_norm = 0;                     ///< before clipping; mean over the inner steps
  double staleness_mean = 0;                ///< epochs between sampling and training, over tokens
  std::uint64_t sequences = 0, tokens = 0;  ///< as laid out
  std::uint64_t flat_tokens = 0;            ///< the same threads as flat sequences
  not_finite trouble = not_finite::nothing; ///< with loss or gradient: no update from there on

  bool skipped() const { return trouble != not_finite::nothing; }
};

/// Changes weights by what groups of trees were worth, with `grpo_loss`. A step is cut into
/// micro-batches; each `advance` is one of them, so that its owner can look up in between.
class policy_learner {
public:
  /// `weights` become leaves that require gradients and are changed in place. `reference` is never
  /// changed; while no update was made it is taken to be equal to `weights` and costs nothing.
  policy_learner(learner_options, std::shared_ptr<model_weights> weights,
                 std::shared_ptr<const model_weights> reference, run_voice = {});
  ~policy_learner();

  optimizer& update();

  /// Weights are no longer those of the reference, as after a restart.
  void differ_from_reference();

  /// Begins a step at this learning rate; `epoch` is that of the present weights. Throws
  /// std::invalid_argument for sampled tokens that lack ids, logprobs or epochs.
  void begin(std::span<const rollout_group>, std::uint32_t epoch, double rate);

  /// One micro-batch or one update; false: the step is done. Where memory does not suffice the step
  /// begins anew, once, with micro-batches half as large, which stay so; the second time in a step,
  /// or for a single thread, that throws std::runtime_error, with the remedy.
  bool advance();

  /// Undoes the step: the weights are `before`, with which it began, and the optimiser is as it was
  /// then.
  void undo(const model_weights& before);

  /// Are logprobs and their gradient finite under the present weights, on a part of the step?
  bool is_learnable();

  learn_figures figures() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
