#pragma once

#include "apps/common_options.hpp"
#include "apps/failure.hpp"
#include "apps/model_choice.hpp"
#include "apps/run_changes.hpp"
#include "model/config.hpp"
#include "solver/countdown.hpp"
#include "trainer/run_course.hpp"

#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace banyan {

class tokenizer;
struct model_weights;

/// Standard output of a run for programs: a reader that leaves, or a disk that is full, ends the
/// run in order, with a checkpoint. For several OS threads.
class told_lines {
public:
  void tell(const std::string& json);

  /// Nobody reads what is told, or it cannot be written.
  bool is_unheard() const { return unheard_; }

  /// Throws why, where that is so.
  void check() const;

private:
  std::mutex mutex_;
  std::exception_ptr why_;
  std::atomic<bool> unheard_ = false;
};

/// What a run says is logged as warnings, and its remedies are options.
run_voice voice_of(const common_options&);

/// Throws `bad_usage` where a run's folder holds one already and nobody asked to go on with it.
void require_new_run(const std::filesystem::path& out, bool resume);

/// Problems that a run must not learn from: those of `exclude` and those it is evaluated on.
problem_set held_out_problems(std::vector<std::string> exclude,
                              const std::string& evaluate_problems);

/// Solves the problems of a file with weights that are being trained, and returns the evaluate
/// object as JSON; an empty text where the program was asked to end meanwhile. No function without
/// a file. `tell`: takes a line of the log as text, for `--json`. Throws bad_usage for problems
/// that the model does not know.
weights_judge examination(const common_options&, const std::string& file, const model_choice&,
                          const std::shared_ptr<const tokenizer>&, const std::string& device,
                          std::function<void(const std::string&)> tell);

/// Leaves the config of a run that begins or goes on in its folder, and says what of it is not as
/// it was. One that is at its end already leaves that as it is and says so.
void keep_config(const common_options&, const std::filesystem::path& out, const std::string& config,
                 const std::vector<config_change>& changed, std::int64_t step, bool done);

/// What a run that trouble from outside has ended is ended with: it names the checkpoint that
/// `--resume` goes on from.
bad_environment broken_off(const std::filesystem::path& out, const std::string& why);

/// What a run that cannot be resumed because of `why` is ended with: where an earlier checkpoint
/// can be gone on from, the command after which it is. Throws it.
[[noreturn]] void refuse_checkpoint(const std::filesystem::path& out, const bad_checkpoint& why);

/// Says how a run ended, draws its picture, and returns the exit code. `command`: "train sft".
int end_of_run(const common_options&, const std::filesystem::path& out, const std::string& command,
               const run_result&, bool (*draw)(const std::filesystem::path&),
               const std::string& picture);

} // namespace banyan
