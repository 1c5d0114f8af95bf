#include "apps/banyan/training.hpp"

#include "apps/interrupt.hpp"
#include "apps/json_parts.hpp"
#include "apps/problem_file.hpp"
#include "apps/problem_run.hpp"
#include "apps/remedies.hpp"
#include "apps/run_config.hpp"
#include "apps/terminal.hpp"
#include "model/weights.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/train_log.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;
using level = common_options::level;

void told_lines::tell(const std::string& json) {
  const std::lock_guard lock(mutex_);
  if (unheard_) return;
  try {
    print(json + "\n");
  } catch (...) {
    why_ = std::current_exception();
    unheard_ = true;
  }
}

void told_lines::check() const {
  if (unheard_) std::rethrow_exception(why_);
}

run_voice voice_of(const common_options& common) {
  return {[common](std::string_view line) { common.log(level::warning, std::string(line)); },
          words_for};
}

void require_new_run(const fs::path& out, bool resume) {
  if (!resume && holds_run(out))
    throw bad_usage(out.string(), "it holds a run already",
                    "add --resume to go on with it, or give another --out");
}

problem_set held_out_problems(std::vector<std::string> exclude,
                              const std::string& evaluate_problems) {
  if (!evaluate_problems.empty()) exclude.push_back(evaluate_problems);
  return problems_of(exclude);
}

weights_judge examination(const common_options& common, const std::string& file,
                          const model_choice& chosen,
                          const std::shared_ptr<const tokenizer>& vocabulary,
                          const std::string& device, std::function<void(const std::string&)> tell) {
  if (file.empty()) return {};
  std::vector<problem> problems;
  const auto listed = read_problems(file);
  require_known(chosen, listed);
  for (const auto& p : listed) problems.push_back(p.value);
  return [common, vocabulary, begin = prompt_begin(chosen, *vocabulary), device, problems,
          tell](const model_weights& weights, std::int64_t step) {
    const auto stop = [] { return interrupted() != 0; };
    const auto figures = evaluate_weights(weights, vocabulary, begin, problems, device, stop);
    if (stop()) return std::string(); // figures of a part would mislead
    common.log(level::info, "solved " + std::to_string(figures.solved()) + " of "
                                + std::to_string(figures.problems()));
    if (common.json) tell(evaluation_line(step, figures.json()));
    return figures.json();
  };
}

void keep_config(const common_options& common, const fs::path& out, const std::string& config,
                 const std::vector<config_change>& changed, std::int64_t step, bool done) {
  if (done && step > 0)
    return common.log(level::warning, "the run is at step " + std::to_string(step)
                                          + " and past its end: nothing is trained, train.conf "
                                            "stays; give more --steps or --minutes");
  keep_run_config(out, config);
  if (!changed.empty()) common.log(level::info, changes_text(changed));
}

bad_environment broken_off(const fs::path& out, const std::string& why) {
  return {out.string(), why,
          "mend that, and --resume goes on from " + fs::read_symlink(out / "last").string()};
}

void refuse_checkpoint(const fs::path& out, const bad_checkpoint& why) {
  const auto last = out / "last";
  const auto newest = newest_whole_checkpoint(out, fs::read_symlink(last));
  if (newest.empty()) throw why;
  throw bad_checkpoint(why.what() + (" (`ln -sfn " + newest) + " " + shell_word(last.string())
                       + "` lets the run go on from there)");
}

namespace {

/// A picture is no reason to fail a run that is done.
void draw_run(const common_options& common, const fs::path& out, bool (*draw)(const fs::path&),
              const std::string& picture) {
  try {
    if (draw(out))
      common.log(level::info, (out / picture).string() + " shows how it went");
    else
      common.log(level::debug, "no picture of the run: gnuplot is not there, or there is too "
                               "little to draw");
  } catch (const std::exception& e) {
    common.log(level::warning, std::string("no picture of the run: ") + e.what());
  }
}

} // namespace

int end_of_run(const common_options& common, const fs::path& out, const std::string& command,
               const run_result& result, bool (*draw)(const fs::path&),
               const std::string& picture) {
  const nlohmann::ordered_json j{{"step", result.step},
                                 {"finished", result.finished},
                                 {"skipped", result.skipped},
                                 {"checkpoint", result.last.string()}};
  print((common.json ? json_line(j) : result.last.string()) + "\n");
  draw_run(common, out, draw, picture);
  if (result.skipped > 0)
    common.log(level::warning, std::to_string(result.skipped) + " of " + std::to_string(result.step)
                                   + " steps were skipped: something in them was not finite");
  if (result.finished && (!result.unevaluated || interrupted() == 0)) return exit_done;
  if (interrupted() == 0) {
    common.log(level::warning, "--minutes were over before the first step had anything to learn "
                               "from: nothing is trained; give more --minutes");
    return exit_done;
  }
  const auto where =
      result.finished ? "before its last evaluation" : "at step " + std::to_string(result.step);
  common.log(level::info, "stopped " + where + "; `banyan " + command + " --out "
                              + shell_word(out.string()) + " --resume` goes on");
  return 128 + interrupted();
}

} // namespace banyan
