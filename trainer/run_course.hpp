#pragma once

#include "trainer/not_finite.hpp"
#include "trainer/run_voice.hpp"
#include "trainer/schedule.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

class train_log;
struct model_weights;

/// How long a training run goes on, and after how many steps it does what.
struct course_options {
  std::int64_t steps = 0;            ///< optimiser steps in all
  double minutes = 0;                ///< instead of steps; 0: steps count
  std::int64_t checkpoint_every = 0; ///< steps; 0: at the end alone
  std::int64_t evaluate_every = 0;   ///< steps; 0: never
  std::int64_t max_bad_steps = 0;    ///< steps in a row that are not finite, before the run ends
};

/// What every training run has, whatever it learns from.
struct run_options : course_options {
  run_options(const course_options& c, const schedule_options& s)
      : course_options(c), schedule(s) {}

  std::filesystem::path out;
  std::string device = "cpu"; ///< where to train
  std::int64_t keep = 2;      ///< checkpoints kept, the last one among them
  schedule_options schedule;
};

/// How far a training run came.
struct run_result {
  std::int64_t step = 0;
  bool finished = false;      ///< false: stopped early, or over before a step was
  std::int64_t skipped = 0;   ///< steps that did not count: something was not finite
  std::filesystem::path last; ///< the newest checkpoint
  bool unevaluated = false;   ///< finished, but the evaluation at the end was broken off
};

/// Evaluates the weights after so many steps on real problems; returns the evaluate object as JSON,
/// or nothing where it was broken off.
using weights_judge = std::function<std::string(const model_weights&, std::int64_t step)>;

/// Where a training run is in its course: what it has counted, and what it is time for.
class run_course {
public:
  /// `seconds`: since the run's start or resumption; null: measured.
  explicit run_course(course_options, std::function<double()> seconds = {});

  std::int64_t step = 0;    ///< the next
  std::uint64_t tokens = 0; ///< trained on
  std::int64_t skipped = 0; ///< steps that did not count
  std::int64_t bad_in_a_row = 0;
  std::int64_t saved = -1; ///< the step of the newest checkpoint; -1: none

  /// The run starts or goes on now.
  void go_on();

  double elapsed_s() const;
  /// 0..1, of a step or, where minutes count, of this moment; `first` steps do not count.
  double progress(std::int64_t of_step, std::int64_t first = 0) const;
  bool done() const;
  bool has_finished() const;        ///< done, with a step at least
  bool is_time_to_evaluate() const; ///< also at the end
  bool is_evaluated() const { return evaluated_ == step; }
  bool is_time_to_save() const; ///< not while steps are bad
  /// Is there anything that the newest checkpoint does not have? Steps that did not count leave
  /// what was there before them, and whether one can go on from that nobody knows.
  bool is_worth_saving() const;
  void has_saved(); ///< the present step
  bool has_failed() const;

  /// A step that did not count is told, as one line with its reason.
  void count(not_finite, const run_voice&);

  /// Ends a run that has failed: throws std::runtime_error, with the remedy behind the reason.
  [[noreturn]] void give_up(not_finite trouble, const run_voice&) const;

  /// Evaluates once a step, into the log. A look at what was learnt is no reason to end the run:
  /// one that fails is told, and counts as made.
  void evaluate(const weights_judge&, const model_weights&, train_log&, const run_voice&);

  /// Goes on with the log of the present step: what it has of an evaluation is not made again,
  /// whatever the checkpoint knew of it, and lines that it lacks are told.
  void take_up(train_log&, const run_voice&);

  /// What a checkpoint keeps of it, and back, when the step is the newest checkpoint's. Throws
  /// JSON's exceptions, and std::domain_error for a step below 0.
  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json&);

private:
  course_options options_;
  std::function<double()> seconds_;
  std::int64_t evaluated_ = -1;
  bool learnt_since_saved_ = false;
  double before_s_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace banyan
