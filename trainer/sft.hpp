#pragma once

#include "model/config.hpp"
#include "trainer/curriculum.hpp"
#include "trainer/optimizer.hpp"
#include "trainer/run_course.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

struct model_weights;

/// Everything about a supervised run.
struct sft_options : run_options {
  sft_options() : run_options({.steps = 12000, .checkpoint_every = 500, .max_bad_steps = 10}, {}) {}

  dtype compute = dtype::float32; ///< of matrix products and attention; weights stay in float32
  std::int64_t log_every = 10;    ///< of so many steps one is shown; the log has all
  std::uint64_t seed = 0;         ///< of the initial weights
  model_config model;             ///< ignored when weights are given
  optimizer_options optimizer;
  curriculum_options curriculum;
};

/// A step, as it is logged.
struct sft_progress {
  std::int64_t step = 0;
  double progress = 0; ///< 0..1
  double loss = 0, rate = 0, grad_norm = 0, tokens_per_s = 0, elapsed_s = 0;
  std::uint64_t tokens = 0; ///< trained on since the beginning
  bool drill = false;
};

/// As a line of the log.
std::string to_json(const sft_progress&);

/// What the run asks of its surroundings.
struct sft_hooks {
  std::function<void(const sft_progress&)> on_progress;
  weights_judge evaluate;
  /// Puts further files into the folder of a checkpoint before it counts as written.
  std::function<void(const std::filesystem::path&)> describe;
  run_voice voice;
  std::function<bool()> stop; ///< asked after each step; true: write a checkpoint and return
};

/// Trains from scratch, from given weights, or on from the last checkpoint in `out`.
/// Writes `out/log.jsonl`, `out/step-NNNNNN/` (Hugging Face layout, `trainer.safetensors`,
/// `trainer.json`; the first is `step-000000`) and the link `out/last`. Throws bad_checkpoint where
/// `resume` finds nothing usable, std::system_error where writing fails (earlier checkpoints stay
/// whole), std::runtime_error when too many steps in a row are not finite or a step cannot be done
/// (memory does not suffice, with the remedy; a text that cannot be tokenised): what was learnt
/// before it is saved then. A checkpoint is written only of weights whose loss is finite, so
/// `out/last` is one that can be gone on from.
class sft_run {
public:
  sft_run(sft_options, std::shared_ptr<const tokenizer>, curriculum, sft_hooks,
          std::shared_ptr<model_weights> initial = {});
  ~sft_run();

  /// Takes weights, optimiser, step and counters over from `out/last`.
  void resume();

  std::int64_t step() const; ///< the next
  bool done() const;

  run_result run();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
