#include "trainer/rl.hpp"

#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/elapsed.hpp"
#include "model/safetensors.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/errc.hpp"
#include "solver/tree.hpp"
#include "trainer/logprob_gap.hpp"
#include "trainer/not_finite.hpp"
#include "trainer/run_course.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/statistics.hpp"
#include "trainer/train_log.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using json = nlohmann::ordered_json;

namespace {

std::map<std::string, at::Tensor> by_name(const model_weights& w) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, value] : named_views(w)) all[name] = value.detach().cpu().contiguous();
  return all;
}

/// Steps in a row without an informative group, after which that is worth a word.
constexpr std::int64_t many_idle_steps = 3;

} // namespace

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
  std::int64_t idle_in_a_row = 0;
  bool told_late = false;               ///< that many trees are
  std::deque<published_weights> epochs; ///< those that open steps are sampled with
  problem_places places;                ///< before the step
  weight_makers makers;

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
        course(options, hooks.seconds) {}

  /// The weights as they are now, for others to keep: the next step leaves this memory to them.
  std::shared_ptr<const model_weights> kept() const {
    return std::make_shared<model_weights>(share_weights(*weights));
  }

  /// The weights as they are now are both the reference and epoch 0, in the same memory.
  void take_reference() {
    reference = kept();
    epochs.push_back({0, reference});
    makers.begin(0, options.name);
    learner = std::make_unique<policy_learner>(options.learner, weights, reference);
  }

  void start() {
    log.clear();
    save_checkpoint(options.out / "reference", *reference, *vocabulary);
    save();
  }

  void begin(const rollout_batch& batch) {
    if (batch.figures.problems() == 0)
      throw std::runtime_error("step " + std::to_string(course.step + 1) + ": none of its "
                               + std::to_string(batch.counts.groups)
                               + " groups of trees could be rolled out, " + why_none(batch.counts));
    trained_since = clock::now();
    leave_shared_memory(*weights);
    now = {.step = course.step,
           .progress = course.progress(course.step),
           .trees = batch.figures,
           .counts = batch.counts};
    const auto trees = double(batch.figures.problems());
    now.reward_mean = trees > 0 ? batch.reward_sum / trees : 0;
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
    if (now.learnt.skipped()) learner->undo(*epochs.back().weights);
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
    for (const auto& [epoch, published] : epochs)
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
      warn(is_out_of_memory(why)
               ? "memory does not suffice for the logprob gap, which is not measured; give smaller "
                 "--micro-tokens, or --gap-trees 0"
               : std::string("the logprob gap could not be measured: ") + why.what());
      return {};
    }
  }

  published_weights publish() {
    now.train_s = seconds_since(trained_since);
    epochs.push_back({static_cast<std::uint32_t>(course.step + 1), kept()});
    ++course.step;
    at = stage::published;
    return epochs.back();
  }

  void note(const rollout_figures& around) {
    at = stage::none;
    now.step = course.step;
    now.progress = course.progress(course.step);
    now.around = around;
    now.kl_measured = options.learner.loss.kl > 0 && now.learnt.sums.terms > 0;
    if (!now.learnt.skipped()) course.tokens += now.learnt.tokens;
    now.total_tokens = course.tokens;
    if (now.learnt.sequences > 0) course.count(now.learnt.trouble, options.learner.log);
    now.skipped = course.skipped;
    places = std::move(places_then);
    now.logprob_gap_max = gap_if_it_fits();
    forget_epochs();
    now.elapsed_s = course.elapsed_s();
    count_idle();
    look_for_late();
    log.write(to_json(now));
    if (hooks.on_progress) hooks.on_progress(now);
  }

  void count_idle() {
    idle_in_a_row = now.counts.informative > 0 ? 0 : idle_in_a_row + 1;
    const bool never_learnt = course.done() && idle_in_a_row == course.step;
    if (idle_in_a_row != many_idle_steps && !(never_learnt && idle_in_a_row < many_idle_steps))
      return;
    const auto steps = std::to_string(idle_in_a_row) + (idle_in_a_row == 1 ? " step" : " steps");
    warn("for " + steps
         + " no trees of a problem were worth different rewards, so nothing is learnt; "
         + how_to_differ(now.trees));
  }

  /// They cost as much as the others and count for nothing. Told once.
  void look_for_late() {
    const auto& repeated = now.counts.repeated_by_failure;
    const auto late = repeated.contains(errc::deadline) ? repeated.at(errc::deadline) : 0;
    if (told_late || 4 * late < now.trees.problems()) return;
    told_late = true;
    warn(std::to_string(late) + " trees were late and rolled out again, beside "
         + std::to_string(now.trees.problems())
         + " that were not; give a larger --deadline or a smaller --concurrency");
  }

  void warn(const std::string& what) {
    const auto line = "step " + std::to_string(course.step) + ": " + what;
    now.warning += (now.warning.empty() ? "" : " ") + line;
    if (options.learner.log) options.learner.log(line);
  }

  void forget_epochs() {
    while (epochs.size() > static_cast<std::size_t>(options.staleness) + 1) epochs.pop_front();
  }

  void finish(const rollout_figures& around) {
    note(around);
    if (course.has_failed()) course.give_up(now.learnt.trouble, "a lower --rate may help");
    if (is_time_to_evaluate()) evaluate();
    if (course.done() || course.is_time_to_save()) save();
  }

  bool is_time_to_evaluate() const {
    return course.is_time_to_evaluate() || (options.evaluate_every > 0 && course.has_finished());
  }

  void close() {
    if (options.evaluate_every > 0) evaluate();
    save();
  }

  void keep(const rollout_figures& around) {
    if (at == stage::learning) learner->undo(*epochs.back().weights);
    if (at == stage::published) note(around);
    at = stage::none;
    save();
  }

  /// The same: the run is worth more than figures of it.
  void evaluate() {
    try {
      course.evaluate(hooks.evaluate, *weights, log);
    } catch (const std::exception& why) {
      course.has_evaluated();
      if (options.learner.log)
        options.learner.log("step " + std::to_string(course.step)
                            + ": it could not be evaluated: " + why.what());
    }
  }

  void save() {
    if (!course.is_worth_saving()) return;
    folder.save(course.step, *weights, *vocabulary, [this](const fs::path& to) {
      auto state = course.state();
      state["idle_in_a_row"] = idle_in_a_row;
      for (const auto* list : {"epochs", "returning", "drops", "open"}) state[list] = json::array();
      for (const auto& [epoch, published] : epochs) {
        state["epochs"].push_back(epoch);
        if (epoch == static_cast<std::uint32_t>(course.step)) continue; // the checkpoint's own
        write_safetensors(to / epoch_file(epoch), by_name(*published));
      }
      for (const auto& problem : places.waiting)
        state["returning"].push_back({problem.source.step, problem.source.group});
      for (const auto& [source, times] : places.drops)
        state["drops"].push_back({source.step, source.group, times});
      for (const auto& [place, source] : places.open)
        state["open"].push_back({place.step, place.group, source.step, source.group});
      state["made_by"] = makers.entries();
      save_state(to, learner->update(), state);
      if (hooks.describe) hooks.describe(to);
    });
    course.has_saved();
  }

  std::shared_ptr<const model_weights> read_epoch(const fs::path& file) const {
    auto read = std::make_shared<model_weights>(
        empty_weights(weights->config, dtype::float32, weights->embedding.device().str()));
    const auto saved_tensors = read_tensors(file);
    for (auto& [name, value] : named_views(*read)) {
      const auto found = saved_tensors.find(name);
      if (found == saved_tensors.end() || found->second.sizes() != value.sizes())
        throw bad_checkpoint(file.string()
                             + ": weights of another shape; go back to an earlier checkpoint");
      value.copy_(found->second);
    }
    return read;
  }

  /// The last one is that of the checkpoint itself.
  std::vector<std::uint32_t> epochs_in(const json& state) const {
    auto all = state.at("epochs").get<std::vector<std::int64_t>>();
    if (all.empty() || all.front() < 0 || all.back() != course.step
        || !std::ranges::is_sorted(all, std::less_equal()))
      throw std::domain_error("its step and its epochs do not fit each other");
    return {all.begin(), all.end()};
  }

  std::shared_ptr<const model_weights> read_reference() const {
    const auto folder = options.out / "reference";
    if (!fs::exists(folder))
      refuse_reference(folder.string() + ": the weights that the run began with are missing");
    try {
      const auto first = load_checkpoint(folder, dtype::float32, options.device);
      require_shape(*weights, *first.weights, folder);
      return first.weights;
    } catch (const bad_checkpoint& why) {
      const std::string said = why.what();
      refuse_reference(said.substr(0, said.find("; "))); // no other checkpoint has another one
    }
  }

  [[noreturn]] void refuse_reference(const std::string& wrong) const {
    throw bad_reference(wrong
                        + "; put a copy of the weights that the run began with there, or begin a "
                          "run in another --out from a --model ("
                        + checkpoints_left(options.out) + ")");
  }

  problem_places resume() {
    const auto from = folder.last();
    leave_shared_memory(*weights);
    load_into(*weights, from);
    reference = read_reference();
    learner = std::make_unique<policy_learner>(options.learner, weights, reference);
    learner->differ_from_reference();
    places = {};
    restore_state(from, learner->update(), [&](const json& state) {
      course.restore(state);
      idle_in_a_row = state.value("idle_in_a_row", std::int64_t{0});
      epochs.clear();
      for (const std::uint32_t epoch : epochs_in(state))
        epochs.push_back(
            {epoch, epoch == course.step ? kept() : read_epoch(from / epoch_file(epoch))});
      for (const auto& source : state.at("returning"))
        places.waiting.push_back({{source.at(0), source.at(1)}});
      for (const auto& entry : state.value("drops", json::array()))
        places.drops[{entry.at(0), entry.at(1)}] = entry.at(2);
      for (const auto& entry : state.value("open", json::array()))
        places.open[{entry.at(0), entry.at(1)}] = {entry.at(2), entry.at(3)};
      makers = {};
      for (const weight_makers::entry by : state.at("made_by")) makers.begin(by.first, by.second);
    });
    makers.begin(static_cast<std::uint32_t>(course.step) + 1, options.name);
    forget_epochs();
    log.keep_until(course.step);
    if (is_time_to_evaluate()) evaluate(); // for one that was broken off
    return places;
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
std::int64_t rl_run::step() const { return impl_->course.step; }
const weight_makers& rl_run::makers() const { return impl_->makers; }
bool rl_run::done() const { return impl_->course.done(); }
std::vector<published_weights> rl_run::published() const {
  return {impl_->epochs.begin(), impl_->epochs.end()};
}
void rl_run::begin(const rollout_batch& batch) { impl_->begin(batch); }
bool rl_run::advance() { return impl_->advance(); }
published_weights rl_run::publish() { return impl_->publish(); }
void rl_run::finish(const rollout_figures& around) { impl_->finish(around); }
void rl_run::close() { impl_->close(); }
void rl_run::keep(const rollout_figures& around) { impl_->keep(around); }

run_result rl_run::result() const {
  const auto& course = impl_->course;
  return {course.step, course.has_finished(), course.skipped,
          impl_->folder.folder_of(course.saved)};
}

} // namespace banyan
