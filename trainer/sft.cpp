#include "trainer/sft.hpp"

#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/train_log.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <stdexcept>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

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
  std::int64_t step = 0, skipped = 0, bad_in_a_row = 0;
  not_finite bad = not_finite::nothing;    ///< in the step that was last
  std::int64_t saved = -1, evaluated = -1; ///< the steps that were last
  std::uint64_t tokens = 0;
  double elapsed_s = 0; ///< before `began`
  clock::time_point began = clock::now();
  std::future<training_batch> next;
  training_batch proven; ///< the last one whose loss was finite

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
        log(options.out / "log.jsonl") {}

  double elapsed() const {
    return elapsed_s + std::chrono::duration<double>(clock::now() - began).count();
  }

  double progress() const {
    if (options.minutes > 0) return std::min(1.0, elapsed() / (60 * options.minutes));
    const auto drills = std::min(options.curriculum.drill_steps, options.steps - 1);
    return std::clamp(double(step - drills) / double(options.steps - drills), 0.0, 1.0);
  }

  bool done() const {
    return options.minutes > 0 ? elapsed() >= 60 * options.minutes : step >= options.steps;
  }

  /// The batch of this step; the next one is made meanwhile on another OS thread.
  training_batch take_batch() {
    auto batch =
        next.valid() ? next.get() : lessons.batch(static_cast<std::uint64_t>(step), progress());
    ++step;
    next = std::async(std::launch::async, [this, at = static_cast<std::uint64_t>(step),
                                           p = progress()] { return lessons.batch(at, p); });
    --step;
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
    if (bad == not_finite::nothing) {
      bad_in_a_row = 0;
      proven = std::move(batch);
    } else {
      ++skipped;
      ++bad_in_a_row;
    }
  }

  [[noreturn]] void give_up() {
    save_if_good();
    throw std::runtime_error("step " + std::to_string(step) + ": " + std::string(to_phrase(bad))
                             + " not finite (" + std::to_string(bad_in_a_row)
                             + " bad steps in a row); --resume with a lower --rate goes on from "
                             + (options.out / fs::read_symlink(folder.last())).string());
  }

  sft_progress one_step() {
    const auto begun_s = elapsed();
    sft_progress p{.progress = progress(),
                   .drill = lessons.is_drill(static_cast<std::uint64_t>(step))};
    p.rate = rate_at(options.schedule, step, p.progress);
    auto batch = take_batch();
    p.loss = learn(batch);
    p.grad_norm = std::isfinite(p.loss) ? update.step(p.rate) : p.loss;
    const auto num_tokens = batch.num_tokens();
    tokens += num_tokens;
    ++step;
    count(p, std::move(batch));
    p.step = step;
    p.progress = progress();
    p.tokens = tokens;
    p.elapsed_s = elapsed();
    const auto took_s = p.elapsed_s - begun_s;
    p.tokens_per_s = took_s > 0 ? double(num_tokens) / took_s : 0;
    return p;
  }

  void evaluate() {
    if (!hooks.evaluate || evaluated == step) return;
    const auto figures = hooks.evaluate(*weights);
    if (figures.empty()) return;
    evaluated = step;
    log.write_evaluation(step, figures);
  }

  bool is_time_to_evaluate() const {
    return options.evaluate_every > 0 && step > 0 && step % options.evaluate_every == 0;
  }

  /// An update may have taken the weights to where nothing can be learnt any more.
  bool are_good() {
    if (!are_finite(*weights)) return false;
    if (proven.selected.empty()) return true;
    const bool good = std::isfinite(learn(proven)) && std::isfinite(update.gradient_norm());
    update.forget_gradients();
    return good;
  }

  void save_if_good() {
    if (saved != step && are_good()) save();
  }

  /// From now on `--resume` has something to go on from.
  void start() {
    log.clear();
    save();
  }

  void save() {
    if (saved == step) return;
    folder.save(step, *weights, *vocabulary, [this](const fs::path& to) {
      save_state(to, update,
                 {{"step", step},
                  {"tokens", tokens},
                  {"elapsed_s", elapsed()},
                  {"skipped", skipped},
                  {"evaluated", evaluated}});
      if (hooks.describe) hooks.describe(to);
    });
    saved = step;
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
  restore_state(folder, s.update, [&](const nlohmann::ordered_json& state) {
    s.step = state.at("step");
    if (s.step < 0)
      throw bad_checkpoint((folder / "trainer.json").string()
                           + ": its step is below 0; resume from an earlier checkpoint");
    s.tokens = state.at("tokens");
    s.elapsed_s = state.at("elapsed_s");
    s.skipped = state.at("skipped");
    s.evaluated = state.value("evaluated", s.step);
  });
  s.saved = s.step;
  s.log.keep_until(s.step);
}

std::int64_t sft_run::step() const { return impl_->step; }
bool sft_run::done() const { return impl_->done(); }

sft_result sft_run::run() {
  auto& s = *impl_;
  s.began = clock::now();
  bool stopped = false;
  if (s.saved < 0) s.start();
  if (s.is_time_to_evaluate()) s.evaluate(); // for one that was broken off
  while (!s.done() && !stopped) {
    const auto p = s.one_step();
    s.log.write(p);
    if (s.hooks.on_progress && s.step % s.options.log_every == 0) s.hooks.on_progress(p);
    if (s.bad_in_a_row >= s.options.max_bad_steps) s.give_up();
    if (s.is_time_to_evaluate()) s.evaluate();
    if (s.options.checkpoint_every > 0 && s.step % s.options.checkpoint_every == 0
        && s.bad_in_a_row == 0)
      s.save_if_good();
    stopped = s.hooks.stop && s.hooks.stop();
  }
  s.save_if_good();
  if (!stopped && s.options.evaluate_every > 0) s.evaluate();
  return {s.step, s.done(), s.skipped, s.folder.folder_of(s.saved)};
}

} // namespace banyan
