#include "trainer/rl.hpp"

#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/elapsed.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/errc.hpp"
#include "solver/tree.hpp"
#include "trainer/checksums.hpp"
#include "trainer/logprob_gap.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/rl_warnings.hpp"
#include "trainer/run_course.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/run_state.hpp"
#include "trainer/statistics.hpp"
#include "trainer/train_log.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using json = nlohmann::ordered_json;

struct rl_run::impl {
  rl_options options;
  std::shared_ptr<const tokenizer> vocabulary;
  rl_hooks hooks;
  std::shared_ptr<model_weights> weights;
  std::shared_ptr<const model_weights> reference;
  std::unique_ptr<policy_learner> learner;
  run_folder folder;
  train_log log;

  run_course course;
  std::string said; ///< since the last step was logged
  run_voice voice;
  rl_warnings warnings;
  rl_memory memory;

  // The step that is being trained.
  enum class stage : std::uint8_t { none, learning, published };
  stage at = stage::none;
  rl_progress now;
  std::vector<std::shared_ptr<const tree>> examined; ///< for the gap
  problem_places places_then;                        ///< after the step
  clock::time_point trained_since;

  impl(rl_options o, std::shared_ptr<const tokenizer> v, rl_hooks h,
       std::shared_ptr<model_weights> w)
      : options(std::move(o)),
        vocabulary(std::move(v)),
        hooks(std::move(h)),
        weights(std::move(w)),
        folder(options.out, options.keep),
        log(options.out / "log.jsonl"),
        course(options, hooks.seconds),
        voice{[this](std::string_view line) { say(line); }, hooks.voice.words},
        warnings(voice) {}

  /// What is said goes into the log, too, with the next step that does.
  void say(std::string_view line) {
    said += (said.empty() ? "" : " ") + std::string(line);
    hooks.voice.say(line);
  }

  /// The weights as they are now, for others to keep: the next step leaves this memory to them.
  std::shared_ptr<const model_weights> kept() const {
    return std::make_shared<model_weights>(share_weights(*weights));
  }

  /// The weights as they are now are both the reference and epoch 0, in the same memory.
  void take_reference() {
    reference = kept();
    memory.epochs.push_back({0, reference});
    memory.makers.begin(0, options.name);
    learner = std::make_unique<policy_learner>(options.learner, weights, reference, voice);
  }

  void start() {
    log.clear();
    save_checkpoint(options.out / "reference", *reference, *vocabulary, [this](const fs::path& to) {
      write_checksums(to);
      if (hooks.describe) hooks.describe(to);
    });
    save();
  }

  [[noreturn]] void refuse_empty(const rollout_counts& counts) const {
    const auto why = why_none(counts);
    const auto text = "step " + std::to_string(course.step + 1) + ": none of its "
                      + std::to_string(counts.groups)
                      + " groups of trees could be rolled out: " + why.trouble;
    throw std::runtime_error(why.cure ? voice.with(text, *why.cure) : text);
  }

  void begin(const rollout_batch& batch) {
    assert(batch.step == course.step);
    if (batch.figures.problems() == 0) refuse_empty(batch.counts);
    trained_since = clock::now();
    leave_shared_memory(*weights);
    now = {.step = course.step,
           .progress = course.progress(course.step),
           .trees = batch.figures,
           .counts = batch.counts};
    now.reward_mean = batch.reward_sum / double(batch.figures.problems());
    now.rate = rate_at(options.schedule, course.step, now.progress);
    places_then = batch.places;
    const auto few = std::min(batch.examples.size(), static_cast<std::size_t>(options.gap_trees));
    examined.assign(batch.examples.begin(), batch.examples.begin() + std::ptrdiff_t(few));
    learner->begin(batch.groups, static_cast<std::uint32_t>(course.step), now.rate);
    at = stage::learning;
  }

  bool advance() {
    if (learner->advance()) return true;
    now.learnt = learner->figures();
    if (!now.learnt.skipped() && !are_good()) now.learnt.trouble = not_finite::weights;
    if (now.learnt.skipped()) learner->undo(*memory.epochs.back().weights);
    return false;
  }

  /// Weights that are finite can still be too large for what is computed from them.
  bool are_good() const {
    if (now.learnt.sequences == 0) return true; // nothing was changed
    return are_finite(*weights) && find_not_finite(learner->update().state()).empty()
           && learner->is_learnable();
  }

  /// Decoding against training, each token under the weights that sampled it.
  std::optional<double> gap() const {
    std::optional<double> largest;
    for (const auto& [epoch, published] : memory.epochs)
      for (const auto& t : examined)
        if (const auto found =
                logprob_gap(*t, epoch, transformer(published), *vocabulary,
                            options.learner.temperature, options.learner.micro_tokens))
          largest = larger(largest.value_or(0), *found);
    return largest;
  }

  /// A look at what was learnt is no reason to end the run.
  std::optional<double> gap_if_it_fits() {
    try {
      return gap();
    } catch (const std::exception& why) {
      warnings.warn(
          now,
          is_out_of_memory(why)
              ? voice.with("memory does not suffice for the logprob gap, which is not measured",
                           remedy::gap_of_fewer_trees)
              : std::string("the logprob gap could not be measured: ") + why.what());
      return {};
    }
  }

  published_weights publish() {
    now.train_s = seconds_since(trained_since);
    memory.epochs.push_back({static_cast<std::uint32_t>(course.step + 1), kept()});
    ++course.step;
    at = stage::published;
    return memory.epochs.back();
  }

  void note(const rollout_figures& around) {
    at = stage::none;
    now.step = course.step;
    now.progress = course.progress(course.step);
    now.around = around;
    now.kl_measured = options.learner.loss.kl > 0 && now.learnt.sums.terms > 0;
    if (!now.learnt.skipped()) course.tokens += now.learnt.tokens;
    now.total_tokens = course.tokens;
    if (now.learnt.sequences > 0) course.count(now.learnt.trouble, voice);
    now.skipped = course.skipped;
    memory.places = std::move(places_then);
    now.logprob_gap_max = gap_if_it_fits();
    forget_epochs();
    now.elapsed_s = course.elapsed_s();
    warnings.look_at(now, course.done());
    now.warning = std::exchange(said, {});
    log.write(to_json(now));
    if (hooks.on_progress) hooks.on_progress(now);
  }

  void forget_epochs() { memory.forget_epochs(static_cast<std::size_t>(options.staleness) + 1); }

  void finish(const rollout_figures& around) {
    note(around);
    if (course.has_failed()) course.give_up(now.learnt.trouble, voice);
    if (course.is_time_to_evaluate()) evaluate();
    if (course.done() || course.is_time_to_save()) save();
  }

  void close() {
    if (course.is_time_to_evaluate()) evaluate();
    save();
  }

  void keep(const rollout_figures& around) {
    if (at == stage::learning) learner->undo(*memory.epochs.back().weights);
    if (at == stage::published) note(around);
    at = stage::none;
    save();
  }

  void evaluate() { course.evaluate(hooks.evaluate, *weights, log, voice); }

  void save() {
    if (!course.is_worth_saving()) return;
    folder.save(course.step, *weights, *vocabulary, [this](const fs::path& to) {
      auto state = course.state();
      state["idle_in_a_row"] = warnings.idle_in_a_row;
      memory.save(to, state);
      save_state(to, learner->update(), state);
      if (hooks.describe) hooks.describe(to);
    });
    course.has_saved();
  }

  std::shared_ptr<const model_weights> read_reference() const {
    const auto folder = options.out / "reference";
    if (!fs::exists(folder))
      refuse_reference(folder.string() + ": the weights that the run began with are missing");
    try {
      const auto first = load_checkpoint(folder, dtype::float32, options.device);
      require_shape(*weights, *first.weights, folder);
      require_unchanged(folder);
      return first.weights;
    } catch (const bad_checkpoint& why) {
      const std::string text = why.what();
      refuse_reference(text.substr(0, text.find("; "))); // no other checkpoint has another one
    }
  }

  [[noreturn]] void refuse_reference(const std::string& wrong) const {
    throw bad_reference(voice.with(wrong, remedy::first_weights) + " ("
                        + checkpoints_left(options.out) + ")");
  }

  problem_places resume() {
    const auto from = folder.last();
    leave_shared_memory(*weights);
    load_into(*weights, from);
    reference = read_reference();
    learner = std::make_unique<policy_learner>(options.learner, weights, reference, voice);
    learner->differ_from_reference();
    restore_state(from, learner->update(), [&](const json& state) {
      course.restore(state);
      warnings.idle_in_a_row = state.value("idle_in_a_row", std::int64_t{0});
      memory = rl_memory::read(from, state, course.step, kept());
    });
    memory.makers.begin(static_cast<std::uint32_t>(course.step) + 1, options.name);
    forget_epochs();
    require_unchanged(from);
    course.take_up(log, voice);
    if (course.is_time_to_evaluate()) evaluate(); // for one that was broken off
    return memory.places;
  }
};

rl_run::rl_run(rl_options options, std::shared_ptr<const tokenizer> vocabulary, rl_hooks hooks,
               std::shared_ptr<model_weights> initial)
    : impl_(std::make_unique<impl>(std::move(options), std::move(vocabulary), std::move(hooks),
                                   std::move(initial))) {
  impl_->take_reference();
}

rl_run::~rl_run() = default;

void rl_run::start() { impl_->start(); }
problem_places rl_run::resume() { return impl_->resume(); }
std::string rl_run::explained(const std::exception& why) const {
  return is_out_of_memory(why) ? impl_->voice.with("memory does not suffice", remedy::less_memory)
                               : why.what();
}
std::int64_t rl_run::step() const { return impl_->course.step; }
const weight_makers& rl_run::makers() const { return impl_->memory.makers; }
bool rl_run::done() const { return impl_->course.done(); }
std::vector<published_weights> rl_run::published() const {
  return {impl_->memory.epochs.begin(), impl_->memory.epochs.end()};
}
void rl_run::begin(const rollout_batch& batch) { impl_->begin(batch); }
bool rl_run::advance() { return impl_->advance(); }
published_weights rl_run::publish() { return impl_->publish(); }
void rl_run::finish(const rollout_figures& around) { impl_->finish(around); }
void rl_run::close() { impl_->close(); }
void rl_run::keep(const rollout_figures& around) { impl_->keep(around); }

run_result rl_run::result() const {
  const auto& course = impl_->course;
  return {course.step, course.has_finished(), course.skipped, impl_->folder.folder_of(course.saved),
          course.is_time_to_evaluate() && !course.is_evaluated()};
}

} // namespace banyan
