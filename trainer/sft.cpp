#include "trainer/sft.hpp"

#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/run_course.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/run_state.hpp"
#include "trainer/train_log.hpp"

#include <cmath>
#include <future>
#include <stdexcept>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

std::string to_json(const sft_progress& p) {
  return nlohmann::ordered_json{
      {"step", p.step},           {"loss", p.loss},     {"lr", p.rate},
      {"grad_norm", p.grad_norm}, {"tokens", p.tokens}, {"tokens_per_s", p.tokens_per_s},
      {"elapsed_s", p.elapsed_s}, {"drill", p.drill}}
      .dump();
}

struct sft_run::impl {
  sft_options options;
  std::shared_ptr<const tokenizer> vocabulary;
  curriculum lessons;
  sft_hooks hooks;
  std::shared_ptr<model_weights> weights;
  transformer model;
  optimizer update;
  run_folder folder;
  train_log log;
  run_course course;
  not_finite bad = not_finite::nothing; ///< in the step that was last
  std::future<training_batch> next;
  training_batch proven; ///< the last one whose loss was finite
  bool updating = false; ///< some of the weights may be those of the next step

  impl(sft_options o, std::shared_ptr<const tokenizer> v, curriculum c, sft_hooks h,
       std::shared_ptr<model_weights> w)
      : options(std::move(o)),
        vocabulary(std::move(v)),
        lessons(std::move(c)),
        hooks(std::move(h)),
        weights(std::move(w)),
        model(weights),
        update(*weights, options.optimizer),
        folder(options.out, options.keep),
        log(options.out / "log.jsonl"),
        course(options) {}

  /// Drills do not count.
  double progress(std::int64_t of_step) const {
    return course.progress(of_step, options.curriculum.drill_steps);
  }

  /// The batch of this step; the next one is made meanwhile on another OS thread.
  training_batch take_batch() {
    const auto make = [this](std::int64_t step, double p) {
      return lessons.batch(static_cast<std::uint64_t>(step), p);
    };
    const auto step = course.step;
    auto batch = next.valid() ? next.get() : make(step, progress(step));
    next = std::async(std::launch::async, make, step + 1, progress(step + 1));
    return batch;
  }

  /// Mean cross-entropy over the tokens that carry loss.
  at::Tensor loss_of(const training_batch& batch) const {
    const auto device = weights->embedding.device();
    auto selected = at::tensor(batch.selected, at::kLong).to(device);
    auto targets = at::tensor(batch.targets, at::kLong).to(device);
    return at::cross_entropy_loss(model.forward(batch.sequences, selected, options.compute),
                                  targets);
  }

  /// The loss, with gradients.
  double learn(const training_batch& batch) {
    auto loss = loss_of(batch);
    const auto value = loss.item<double>();
    if (std::isfinite(value)) loss.backward();
    return value;
  }

  void count(const sft_progress& p, training_batch batch) {
    bad = !std::isfinite(p.loss)        ? not_finite::loss
          : !std::isfinite(p.grad_norm) ? not_finite::gradient
                                        : not_finite::nothing;
    course.count(bad, hooks.voice);
    if (bad == not_finite::nothing) proven = std::move(batch);
  }

  [[noreturn]] void give_up() {
    save_if_good();
    course.give_up(bad, hooks.voice);
  }

  sft_progress one_step() {
    const auto begun_s = course.elapsed_s();
    sft_progress p{.progress = progress(course.step),
                   .drill = lessons.is_drill(static_cast<std::uint64_t>(course.step))};
    p.rate = rate_at(options.schedule, course.step, p.progress);
    auto batch = take_batch();
    p.loss = learn(batch);
    updating = true;
    p.grad_norm = std::isfinite(p.loss) ? update.step(p.rate) : p.loss;
    updating = false;
    const auto num_tokens = batch.num_tokens();
    course.tokens += num_tokens;
    ++course.step;
    count(p, std::move(batch));
    p.step = course.step;
    p.progress = progress(course.step);
    p.tokens = course.tokens;
    p.elapsed_s = course.elapsed_s();
    const auto took_s = p.elapsed_s - begun_s;
    p.tokens_per_s = took_s > 0 ? double(num_tokens) / took_s : 0;
    return p;
  }

  /// What a step cannot do costs none of the steps before it.
  sft_progress step_or_save() {
    try {
      return one_step();
    } catch (const std::exception& why) {
      if (!updating) save_if_possible();
      throw std::runtime_error(is_out_of_memory(why)
                                   ? hooks.voice.with("memory does not suffice for step "
                                                          + std::to_string(course.step + 1),
                                                      remedy::smaller_batches)
                                   : why.what());
    }
  }

  void save_if_possible() {
    try {
      update.forget_gradients();
      save_if_good();
    } catch (const std::exception& why) {
      hooks.voice.say("step " + std::to_string(course.step)
                      + " could not be saved: " + std::string(why.what()));
    }
  }

  void evaluate() { course.evaluate(hooks.evaluate, *weights, log, hooks.voice); }

  /// An update may have taken the weights to where nothing can be learnt any more.
  bool are_good() {
    if (!are_finite(*weights) || !find_not_finite(update.state()).empty()) return false;
    if (proven.selected.empty()) return true;
    const bool good = std::isfinite(learn(proven)) && std::isfinite(update.gradient_norm());
    update.forget_gradients();
    return good;
  }

  void save_if_good() {
    if (course.saved != course.step && are_good()) save();
  }

  /// From now on `--resume` has something to go on from.
  void start() {
    log.clear();
    save();
  }

  void save() {
    if (course.saved == course.step) return;
    folder.save(course.step, *weights, *vocabulary, [this](const fs::path& to) {
      save_state(to, update, course.state());
      if (hooks.describe) hooks.describe(to);
    });
    course.has_saved();
  }
};

sft_run::sft_run(sft_options options, std::shared_ptr<const tokenizer> vocabulary,
                 curriculum lessons, sft_hooks hooks, std::shared_ptr<model_weights> initial) {
  if (!initial) {
    options.model.vocab_size = vocabulary->vocab_size();
    options.model.bos_id = vocabulary->bos_id();
    options.model.eos_id = vocabulary->eos_id();
    options.model.pad_id = vocabulary->pad_id();
    initial = std::make_shared<model_weights>(
        copy_weights(random_weights(options.model, options.seed), dtype::float32, options.device));
  }
  impl_ = std::make_unique<impl>(std::move(options), std::move(vocabulary), std::move(lessons),
                                 std::move(hooks), std::move(initial));
}

sft_run::~sft_run() = default;

void sft_run::resume() {
  auto& s = *impl_;
  const auto folder = s.folder.last();
  load_into(*s.weights, folder);
  restore_state(folder, s.update,
                [&](const nlohmann::ordered_json& state) { s.course.restore(state); });
  require_unchanged(folder);
  s.course.take_up(s.log, s.hooks.voice);
}

std::int64_t sft_run::step() const { return impl_->course.step; }
bool sft_run::done() const { return impl_->course.done(); }

run_result sft_run::run() {
  auto& s = *impl_;
  auto& course = s.course;
  course.go_on();
  bool stopped = false;
  if (course.saved < 0) s.start();
  if (course.is_time_to_evaluate()) s.evaluate(); // for one that was broken off
  while (!course.done() && !stopped) {
    const auto p = s.step_or_save();
    s.log.write(to_json(p));
    if (s.hooks.on_progress && p.step % s.options.log_every == 0) s.hooks.on_progress(p);
    if (course.has_failed()) s.give_up();
    if (course.is_time_to_evaluate()) s.evaluate();
    if (course.is_time_to_save()) s.save_if_good();
    stopped = s.hooks.stop && s.hooks.stop();
  }
  s.save_if_good();
  if (!stopped && course.is_time_to_evaluate()) s.evaluate(); // time was over meanwhile
  return {course.step, course.has_finished(), course.skipped, s.folder.folder_of(course.saved),
          course.is_time_to_evaluate() && !course.is_evaluated()};
}

} // namespace banyan
