#pragma once

#include "model/config.hpp"
#include "trainer/policy_learner.hpp"
#include "trainer/rl_memory.hpp"
#include "trainer/rl_progress.hpp"
#include "trainer/run_course.hpp"
#include "trainer/run_voice.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace banyan {

class tokenizer;

/// The weights that a run began with are missing or damaged, which no other checkpoint can mend.
struct bad_reference : bad_checkpoint {
  using bad_checkpoint::bad_checkpoint;
};

/// Everything about a reinforcement learning run but its rollouts.
struct rl_options : run_options {
  rl_options()
      : run_options({.steps = 150, .checkpoint_every = 10, .max_bad_steps = 5},
                    {.rate = 2e-4, .warmup = 5, .decay = decay_kind::none}) {}

  std::string name; ///< of this start of the run, unlike that of any other; see `weight_makers`
  std::int64_t staleness = 1; ///< steps that rollouts run ahead of training
  std::int64_t gap_trees = 2; ///< trees per step whose logprobs are scored again for the gap
  learner_options learner;
};

struct rl_hooks {
  run_voice voice;
  std::function<void(const rl_progress&)> on_progress;
  weights_judge evaluate;
  std::function<void(const std::filesystem::path&)> describe;
  std::function<double()> seconds; ///< since the run's start or resumption; null: measured
};

/// The trainer's side of reinforcement learning as a plain core: the weights, what they learn from
/// complete steps of rollouts, the log and the checkpoints. Epoch e is the weights before step e,
/// so epoch 0 is what the run began with.
///
/// Step t is sampled with the weights of `sampling_epoch`, and nothing else decides
/// about a tree, unless its join cuts children off by time; so the run is a pure function of its
/// options, as far as arithmetic is, and one that was killed goes on as if it had not been.
class rl_run {
public:
  /// Trains `initial` in place; the reference is what they are now. Throws std::system_error where
  /// the folder cannot be written.
  rl_run(rl_options, std::shared_ptr<const tokenizer>, rl_hooks,
         std::shared_ptr<model_weights> initial);
  ~rl_run();

  /// Begins a run: an empty log, the reference, and a checkpoint of step 0, from which it can be
  /// resumed from the first moment on. Throws std::system_error.
  void start();

  /// Goes on from `out/last`. Returns where problems were then. Throws bad_checkpoint, or
  /// bad_reference.
  problem_places resume();

  /// What ended the run, with the remedy where memory did not suffice.
  std::string explained(const std::exception&) const;

  std::int64_t step() const; ///< the next to be trained
  const weight_makers& makers() const;
  bool done() const;

  /// What pools need before rollouts of the open steps begin, oldest first; the last one is the
  /// present epoch.
  std::vector<published_weights> published() const;

  /// Learns from a step; `advance` does a part of it, false: it is done. A step that ends with a
  /// loss, a gradient or weights that are not finite, or with weights under which a tree's logprobs
  /// are not, is undone: weights that are published are good ones. Throws std::runtime_error
  /// for a step without trees: something is wrong with the machine, and nothing can be learnt.
  void begin(const rollout_batch&);
  bool advance();

  /// The weights after the step, in memory that nobody writes to any more: no copy is made here,
  /// for the next step begins with one.
  published_weights publish();

  /// Ends the step: log, evaluation, checkpoint; none while steps are bad. Throws
  /// std::runtime_error when too many steps in a row were not finite. A step without
  /// anything to learn from says nothing about that.
  void finish(const rollout_figures&);

  /// Ends a run whose time ran out between two steps: evaluation, checkpoint.
  void close();

  /// For a run that must end here, wherever it is: a step that was published is logged, with the
  /// figures there are; one that was begun is given up; and what was learnt is saved.
  void keep(const rollout_figures&);

  run_result result() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
