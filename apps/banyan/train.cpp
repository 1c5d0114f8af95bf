#include "apps/banyan/commands.hpp"
#include "apps/banyan/training.hpp"

#include "apps/compute.hpp"
#include "apps/interrupt.hpp"
#include "apps/plot.hpp"
#include "apps/problem_file.hpp"
#include "apps/problem_run.hpp"
#include "apps/run_config.hpp"
#include "apps/sft_options.hpp"
#include "apps/task_range.hpp"
#include "apps/terminal.hpp"
#include "apps/trace_file.hpp"
#include "model/atomic_file.hpp"
#include "model/checkpoint.hpp"
#include "model/config.hpp"
#include "model/device.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "solver/problems.hpp"
#include "solver/tree.hpp"

#include <cstdio>
#include <set>
#include <system_error>

#include <unistd.h>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// What a run starts from.
struct start {
  std::shared_ptr<const tokenizer> vocabulary = countdown_tokenizer();
  std::shared_ptr<model_weights> weights; ///< none: random ones
};

start start_of(const train_sft_options& o) {
  const auto folder = o.resume ? o.sft.out / "last" : o.model;
  if (folder.empty()) return {};
  auto from = load_checkpoint(folder, dtype::float32, o.sft.device);
  return {from.vocabulary, std::make_shared<model_weights>(
                               copy_weights(*from.weights, dtype::float32, o.sft.device))};
}

/// As many numbers as the demonstrations have, or as those that are drawn.
task_range trained_range(const train_sft_options& o, const std::vector<tree>& given) {
  const problem_options drawn;
  std::set<int> sizes;
  for (const auto& t : given) sizes.insert(static_cast<int>(t.problem.numbers.size()));
  if (sizes.empty()) sizes.insert(o.sft.curriculum.num_numbers);
  return {{sizes.begin(), sizes.end()},
          drawn.min_number,
          drawn.max_number,
          drawn.min_target,
          drawn.max_target};
}

/// How the run goes on, for people or for programs.
class reporter {
public:
  reporter(const train_sft_options& o, told_lines& told)
      : options_(o), told_(told), line_(o.common.quiet || o.common.json) {}

  void operator()(const sft_progress& p) {
    if (options_.common.json) return told_.tell(to_json(p));
    const auto minutes = options_.sft.minutes > 0; // then progress is time; else drills have none
    const auto done = minutes ? p.progress : double(p.step) / double(options_.sft.steps);
    const auto left = done > 0 ? p.elapsed_s * (1 - done) / done : 0;
    char text[200];
    std::snprintf(text, sizeof text,
                  "step %lld %s %3.0f%%  loss %.4f  rate %.2e  %s tokens/s  %s, %s left",
                  static_cast<long long>(p.step), bar(done, 20).c_str(), 100 * done, p.loss, p.rate,
                  short_number(p.tokens_per_s).c_str(), duration_text(p.elapsed_s).c_str(),
                  done > 0 ? duration_text(left).c_str() : "?");
    line_.show(last_ = text);
  }

  void finish() { line_.finish(last_); }

private:
  const train_sft_options& options_;
  told_lines& told_;
  progress_line line_;
  std::string last_;
};

/// Once there is a checkpoint, a disk that is full costs no more than what came after it.
run_result run_to_end(sft_run& run, const fs::path& out) {
  try {
    return run.run();
  } catch (const fs::filesystem_error& e) {
    if (!fs::is_symlink(out / "last")) throw;
    throw broken_off(out, lasting_name(e.path1()).string() + ": " + e.code().message());
  } catch (const std::runtime_error& e) {
    if (!fs::is_symlink(out / "last")) throw;
    throw broken_off(out, e.what());
  }
}

constexpr std::uint64_t looked_at = 64; ///< demonstrations, before a run begins

/// Tokens of the longest one. Throws bad_usage where no problem is left to make one of.
std::int32_t longest_context(const curriculum& lessons, const train_sft_options& o) {
  try {
    return lessons.longest_context(looked_at);
  } catch (const std::invalid_argument& why) {
    throw bad_usage("--numbers " + std::to_string(o.sft.curriculum.num_numbers), why.what(),
                    "hold fewer problems out");
  }
}

/// A model cannot write what its context does not hold, whatever it learnt from.
void look_for_room(const curriculum& lessons, const train_sft_options& o) {
  const auto context = o.sft.model.max_positions;
  if (const auto longest = longest_context(lessons, o); longest > context)
    o.common.log(common_options::level::warning,
                 "--context: of " + std::to_string(looked_at) + " demonstrations the longest has "
                     + std::to_string(longest) + " tokens, and the model's context "
                     + std::to_string(context) + ": such it will not write itself");
}

/// A weight is trained with its gradient and two moments, all in float32.
void require_memory(model_config shape, const tokenizer& vocabulary) {
  shape.vocab_size = vocabulary.vocab_size();
  const auto needed = 16.0 * double(num_parameters(shape));
  const auto there = double(::sysconf(_SC_PHYS_PAGES)) * double(::sysconf(_SC_PAGESIZE));
  if (needed < there) return;
  throw bad_usage("--hidden, --layers, --intermediate",
                  "the model has " + short_number(double(num_parameters(shape)))
                      + " weights, for which training takes " + short_number(needed)
                      + " bytes, and this machine has " + short_number(there),
                  "make it smaller");
}

/// Records of trees that a model wrote have its token ids, which mean something in its vocabulary.
void require_ids_of(const tokenizer& vocabulary, const segment& s, const tree& t) {
  const auto is_foreign = [size = vocabulary.vocab_size()](auto id) {
    return id < 0 || id >= size;
  };
  if (std::ranges::any_of(s.ids, is_foreign))
    throw bad_usage("--traces", "tree " + t.id + " has token ids of another vocabulary",
                    "give texts alone (--format jsonl), or trees of a model with this one");
}

void require_text_of(const tokenizer& vocabulary, const segment& s, const tree& t) {
  try {
    vocabulary.encode(s.text);
  } catch (const std::invalid_argument& why) {
    throw bad_usage("--traces", "demonstration for " + to_string(t.problem) + ": " + why.what(),
                    "see `banyan generate traces` for how a thread is written");
  }
}

void require_vocabulary(const std::vector<tree>& given, const tokenizer& vocabulary) {
  for (const auto& t : given)
    for (const auto& thread : t.threads)
      for (const auto& s : thread.segments)
        s.ids.empty() ? require_text_of(vocabulary, s, t) : require_ids_of(vocabulary, s, t);
}

int train(train_sft_options& o, const option_list& list) {
  use_threads(o.threads);
  keep_freed_memory();
  require_device(o.sft.device);
  auto excluded = held_out_problems(o.exclude, o.evaluate_problems);
  auto from = start_of(o);
  require_new_run(o.sft.out, o.resume);
  if (from.weights) take_shape(o, from.weights->config, o.resume ? o.sft.out / "last" : o.model);
  if (!from.weights && o.sft.device == "cpu") require_memory(o.sft.model, *from.vocabulary);
  const auto config = resolved_config(list, o);

  told_lines told;
  reporter report(o, told);
  sft_hooks hooks;
  hooks.on_progress = [&report](const sft_progress& p) { report(p); };
  hooks.voice = voice_of(o.common);
  hooks.stop = [&told] { return interrupted() != 0 || told.is_unheard(); };
  auto given = read_traces(o.traces, excluded);
  require_vocabulary(given, *from.vocabulary);
  const model_choice becomes{o.sft.out, trained_range(o, given)};
  hooks.describe = [range = to_json(*becomes.range)](const fs::path& folder) {
    write_file_atomically(folder / "banyan.json", range);
  };
  hooks.evaluate = examination(o.common, o.evaluate_problems, becomes, from.vocabulary,
                               o.sft.device, [&told](const std::string& line) { told.tell(line); });
  curriculum lessons(o.sft.curriculum, from.vocabulary, std::move(excluded), std::move(given));
  look_for_room(lessons, o);
  sft_run run(o.sft, from.vocabulary, std::move(lessons), hooks, from.weights);
  if (o.resume) run.resume();
  keep_config(o.common, o.sft.out, config, o.changed, run.step(), run.done());
  const auto result = run_to_end(run, o.sft.out);
  report.finish();
  told.check();
  return end_of_run(o.common, o.sft.out, "train sft", result, plot_loss, "loss.svg");
}

} // namespace

int train_sft(command_words words) {
  train_sft_options o;
  auto list = declare(o);
  if (!parse(list, o, words)) return exit_done;
  try {
    return train(o, list);
  } catch (const bad_checkpoint& why) {
    if (!o.resume) throw;
    refuse_checkpoint(o.sft.out, why);
  }
}

} // namespace banyan
