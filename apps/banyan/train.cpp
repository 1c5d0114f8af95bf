#include "apps/banyan/commands.hpp"

#include "apps/compute.hpp"
#include "apps/interrupt.hpp"
#include "apps/plot.hpp"
#include "apps/problem_file.hpp"
#include "apps/problem_run.hpp"
#include "apps/task_range.hpp"
#include "apps/terminal.hpp"
#include "apps/trace_file.hpp"
#include "apps/train_options.hpp"
#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// What a run starts from.
struct start {
  std::shared_ptr<const tokenizer> vocabulary = countdown_tokenizer();
  std::shared_ptr<model_weights> weights; ///< none: random ones
};

start start_of(const train_options& o) {
  if (o.model.empty()) return {};
  auto from = load_checkpoint(o.model, dtype::float32, o.sft.device);
  return {from.vocabulary, std::make_shared<model_weights>(
                               copy_weights(*from.weights, dtype::float32, o.sft.device))};
}

problem_set held_out(const train_options& o) {
  auto files = o.exclude;
  if (!o.evaluate_problems.empty()) files.push_back(o.evaluate_problems);
  return problems_of(files);
}

task_range trained_range(const train_options& o) {
  const problem_options drawn;
  return {{o.sft.curriculum.num_numbers},
          drawn.min_number,
          drawn.max_number,
          drawn.min_target,
          drawn.max_target};
}

/// How the run goes on, for people or for programs.
class reporter {
public:
  explicit reporter(const train_options& o) : options_(o), line_(o.common.quiet || o.common.json) {}

  void operator()(const sft_progress& p) {
    if (options_.common.json) return print_json(p);
    const auto left = p.progress > 0 ? p.elapsed_s * (1 - p.progress) / p.progress : 0;
    char text[200];
    std::snprintf(
        text, sizeof text, "step %lld %s %3.0f%%  loss %.4f  rate %.2e  %s tokens/s  %s, %s left",
        static_cast<long long>(p.step), bar(p.progress, 20).c_str(), 100 * p.progress, p.loss,
        p.rate, short_number(p.tokens_per_s).c_str(), duration_text(p.elapsed_s).c_str(),
        p.progress > 0 ? duration_text(left).c_str() : "?");
    line_.show(text);
  }

  void finish(const sft_result& result) {
    line_.clear();
    const nlohmann::ordered_json j{{"step", result.step},
                                   {"finished", result.finished},
                                   {"skipped", result.skipped},
                                   {"checkpoint", result.last.string()}};
    if (options_.common.json) return print(j.dump() + "\n");
    print(result.last.string() + "\n");
  }

private:
  static void print_json(const sft_progress& p) {
    print(nlohmann::ordered_json{{"step", p.step},
                                 {"loss", p.loss},
                                 {"lr", p.rate},
                                 {"grad_norm", p.grad_norm},
                                 {"tokens", p.tokens},
                                 {"tokens_per_s", p.tokens_per_s},
                                 {"elapsed_s", p.elapsed_s},
                                 {"drill", p.drill}}
              .dump()
          + "\n");
  }

  const train_options& options_;
  progress_line line_;
};

/// A picture is no reason to fail a run that is done.
void draw(const train_options& o) {
  using level = common_options::level;
  try {
    if (plot_loss(o.sft.out))
      o.common.log(level::info, (o.sft.out / "loss.svg").string() + " shows the loss");
    else
      o.common.log(level::debug,
                   "no picture of the loss: gnuplot is not there, or has too little to draw");
  } catch (const std::exception& e) {
    o.common.log(level::warning, std::string("no picture of the loss: ") + e.what());
  }
}

} // namespace

int train_sft(command_words words) {
  train_options o;
  auto list = declare(o);
  if (!parse(list, o, words)) return exit_done;
  const auto config = list.config();
  use_threads(o.threads);
  require_device(o.sft.device);
  auto excluded = held_out(o);
  auto from = start_of(o);
  if (!o.resume && fs::exists(o.sft.out / "last"))
    throw bad_usage(o.sft.out.string(), "it holds a run already",
                    "add --resume to go on with it, or give another --out");
  fs::create_directories(o.sft.out);
  write_file_atomically(o.sft.out / "train.conf", config);

  reporter report(o);
  sft_hooks hooks;
  hooks.on_progress = [&report](const sft_progress& p) { report(p); };
  hooks.stop = [] { return interrupted() != 0; };
  std::vector<problem> examined;
  if (!o.evaluate_problems.empty())
    for (auto& p : read_problems(o.evaluate_problems)) examined.push_back(std::move(p.value));
  hooks.evaluate = [&](const model_weights& weights) {
    const auto figures =
        evaluate_weights(weights, from.vocabulary, examined, o.sft.device, hooks.stop);
    if (interrupted() != 0) return std::string("null"); // figures of a part would mislead
    o.common.log(common_options::level::info, "solved " + std::to_string(figures.solved()) + " of "
                                                  + std::to_string(figures.problems()));
    return figures.json();
  };
  hooks.describe = [range = to_json(trained_range(o))](const fs::path& folder) {
    write_file_atomically(folder / "banyan.json", range);
  };
  auto given = read_traces(o.traces, excluded);
  curriculum lessons(o.sft.curriculum, from.vocabulary, std::move(excluded), std::move(given));
  sft_run run(o.sft, from.vocabulary, std::move(lessons), hooks, from.weights);
  if (o.resume) run.resume();
  const auto result = run.run();
  report.finish(result);
  draw(o);
  if (result.finished) return exit_done;
  o.common.log(common_options::level::info, "stopped at step " + std::to_string(result.step)
                                                + "; `banyan train sft --out " + o.sft.out.string()
                                                + " --resume` goes on");
  return 128 + interrupted();
}

} // namespace banyan
