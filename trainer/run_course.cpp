#include "trainer/run_course.hpp"

#include "model/elapsed.hpp"
#include "trainer/train_log.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

using clock = std::chrono::steady_clock;

run_course::run_course(course_options options, std::function<double()> seconds)
    : options_(options), seconds_(std::move(seconds)) {}

void run_course::go_on() { begin_ = clock::now(); }

double run_course::elapsed_s() const {
  return before_s_ + (seconds_ ? seconds_() : seconds_since(begin_));
}

double run_course::progress(std::int64_t of_step, std::int64_t first) const {
  if (options_.minutes > 0) return std::min(1.0, elapsed_s() / (60 * options_.minutes));
  first = std::min(first, options_.steps - 1);
  return std::clamp(double(of_step - first) / double(options_.steps - first), 0.0, 1.0);
}

bool run_course::done() const {
  return options_.minutes > 0 ? elapsed_s() >= 60 * options_.minutes : step >= options_.steps;
}

bool run_course::has_finished() const { return done() && step > 0; }

bool run_course::is_time_to_evaluate() const {
  return options_.evaluate_every > 0 && step > 0
         && (step % options_.evaluate_every == 0 || has_finished());
}

bool run_course::is_time_to_save() const {
  return options_.checkpoint_every > 0 && step % options_.checkpoint_every == 0
         && bad_in_a_row == 0;
}

bool run_course::is_worth_saving() const {
  return saved != step && (bad_in_a_row == 0 || learnt_since_saved_);
}

void run_course::has_saved() {
  saved = step;
  learnt_since_saved_ = false;
}

bool run_course::has_failed() const { return bad_in_a_row >= options_.max_bad_steps; }

void run_course::count(not_finite trouble, const run_voice& voice) {
  const bool bad = trouble != not_finite::nothing;
  skipped += bad;
  learnt_since_saved_ = learnt_since_saved_ || !bad;
  bad_in_a_row = bad ? bad_in_a_row + 1 : 0;
  if (bad)
    voice.say("step " + std::to_string(step) + ": " + std::string(to_phrase(trouble))
              + " not finite; the step is skipped and changes nothing");
}

void run_course::give_up(not_finite trouble, const run_voice& voice) const {
  throw std::runtime_error(
      voice.with("step " + std::to_string(step) + ": " + std::string(to_phrase(trouble))
                     + " not finite (" + std::to_string(bad_in_a_row)
                     + (bad_in_a_row == 1 ? " bad step)" : " bad steps in a row)"),
                 remedy::lower_rate));
}

void run_course::evaluate(const weights_judge& judge, const model_weights& weights, train_log& log,
                          const run_voice& voice) {
  if (!judge || evaluated_ == step) return;
  std::string figures;
  try {
    figures = judge(weights, step);
    if (figures.empty()) return;
  } catch (const std::exception& why) {
    voice.say("step " + std::to_string(step) + ": it could not be evaluated: " + why.what());
  }
  evaluated_ = step;
  if (!figures.empty()) log.write_evaluation(step, figures);
}

void run_course::take_up(train_log& log, const run_voice& voice) {
  const auto [lost, evaluated] = log.keep_until(step);
  evaluated_ = std::max(evaluated_, evaluated);
  if (lost > 0)
    voice.say(log.path().string() + ": the lines of " + std::to_string(lost)
              + (lost == 1 ? " step" : " steps") + " are missing; the run goes on without them");
}

nlohmann::ordered_json run_course::state() const {
  return {{"step", step},
          {"tokens", tokens},
          {"elapsed_s", elapsed_s()},
          {"skipped", skipped},
          {"evaluated", evaluated_}};
}

void run_course::restore(const nlohmann::ordered_json& state) {
  step = state.at("step");
  if (step < 0) throw std::domain_error("its step is below 0");
  tokens = state.at("tokens");
  before_s_ = state.at("elapsed_s");
  skipped = state.at("skipped");
  evaluated_ = state.value("evaluated", step);
  saved = step;
}

} // namespace banyan
