#include "apps/run_config.hpp"

#include "apps/json_list.hpp"
#include "apps/terminal.hpp"
#include "model/checkpoint.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/run_state.hpp"

#include <algorithm>

namespace banyan {

namespace fs = std::filesystem;

namespace {

/// A config that lost lines would leave the rest to the defaults in silence.
std::string end_of_config(std::string_view config) {
  std::size_t lines = 0;
  for (; !config.empty(); config.remove_prefix(std::min(config.find('\n'), config.size() - 1) + 1))
    lines += !config.starts_with('#') && !config.starts_with('\n');
  return "# These are all options of the run: " + std::to_string(lines) + " lines.\n";
}

/// Runs that were begun before it counted lines end so.
constexpr std::string_view uncounted_end = "# These are all options of the run.\n";

constexpr std::string_view begin_of_config = "# A run of `banyan ";

/// Runs that were begun before their config said of which kind they are find it out by an option.
void require_same_kind(const option_list& list, std::string_view config, const fs::path& out) {
  if (!config.starts_with(begin_of_config) || config.starts_with(head_of_config(list))) return;
  config.remove_prefix(begin_of_config.size());
  const std::string theirs(config.substr(0, config.find('`')));
  throw bad_usage(out.string(), "its run is one of `banyan " + theirs + "`",
                  "go on with `banyan " + theirs + " --out " + shell_word(out.string())
                      + " --resume`");
}

/// The command after which a run whose `last` leads nowhere can go on.
std::string way_back(const fs::path& last, const std::string& aside = {}) {
  const auto out = last.parent_path();
  const auto newest = newest_whole_checkpoint(out);
  if (newest.empty())
    return checkpoints_left(out) + ", and none that is whole: begin a run in another --out";
  return checkpoints_left(out) + ": `" + aside + "ln -sfn " + newest + " "
         + shell_word(last.string()) + "` lets the run go on from there";
}

/// Some ways of copying a run make a folder of the link: it cannot lead to the next checkpoint.
std::string way_back_from_copy(const fs::path& last) {
  const auto step = step_of_checkpoint(last);
  if (!step || fs::exists(last.parent_path() / checkpoint_name(*step)))
    return way_back(last, "mv " + shell_word(last.string()) + " "
                              + shell_word(last.string() + ".copy") + " && ");
  const auto name = checkpoint_name(*step);
  return "it is whole: `mv " + shell_word(last.string()) + " "
         + shell_word((last.parent_path() / name).string()) + " && ln -s " + name + " "
         + shell_word(last.string()) + "` lets the run go on from there";
}

void require_begun(const fs::path& out) {
  const auto last = out / "last";
  if (!holds_run(out))
    throw bad_environment(out.string(), "there is nothing to resume in it",
                          "begin without --resume");
  const bool is_link = fs::is_symlink(last);
  if (is_link && fs::is_directory(last)) return;
  if (is_link)
    throw bad_environment(last.string(),
                          "it leads to " + fs::read_symlink(last).string() + ", which is gone",
                          way_back(last));
  if (fs::exists(last))
    throw bad_environment(last.string(), "it is no link to a checkpoint, as it should be",
                          way_back_from_copy(last));
  throw bad_environment(last.string(), "the link to the newest checkpoint is missing",
                        way_back(last));
}

bool is_whole(const std::string& config) {
  return config.ends_with(uncounted_end) || config.ends_with(end_of_config(config));
}

/// Fills in what was not given from the config in the folder of a run.
void take_kept(option_list& list, const fs::path& kept, const std::string& text) {
  constexpr auto remedy = "give the options of the run by --config FILE";
  if (text.empty()) throw bad_environment(kept.string(), "it is missing", remedy);
  if (!is_whole(text))
    throw bad_environment(kept.string(), "it is damaged: lines of it are missing", remedy);
  require_same_kind(list, text, kept.parent_path());
  try {
    list.read_config_text(text, kept.string());
  } catch (const bad_usage& why) { // nobody but this program has written it
    throw bad_environment(std::string(why.what()) + ", or " + remedy);
  }
}

} // namespace

std::string head_of_config(const option_list& list) {
  return std::string(begin_of_config) + list.command() + "`\n";
}

void keep_run_config(const fs::path& out, const std::string& config) {
  write_file_atomically(out / "train.conf", config + "\n" + end_of_config(config));
}

resumed_config read_run_config(option_list& list, const common_options& common,
                               const std::filesystem::path& out, const bool& resume,
                               double& minutes) {
  if (list.given("minutes") && list.given("steps") && minutes > 0)
    throw bad_usage("--minutes", "--steps is given too", "give one of the two");
  // Asking for steps overrules minutes that a config asks for which counts less.
  const auto is_of_steps = [&list] { return list.given("steps") && !list.given("minutes"); };
  bool counts_steps = is_of_steps();
  const bool has_config = !common.config.empty();
  if (has_config) read_config(list, common);
  counts_steps = counts_steps || is_of_steps();
  resumed_config resumed{{}, list.given()};
  if (resume && !out.empty()) {
    require_begun(out);
    const auto kept = out / "train.conf";
    if (fs::exists(kept)) resumed.kept = read_text(kept);
    if (has_config && !is_whole(resumed.kept))
      add_names(resumed); // which is not filled in, but the config given is held to it
    else
      take_kept(list, kept, resumed.kept);
  }
  const bool resumes = resume, is_placed = !out.empty();
  if (!has_config) read_config(list, common);
  if (resume != resumes)
    throw bad_usage(user_config().string(), "it says `resume` of every run",
                    "remove the line, and give --resume where it is meant");
  if (resume && !is_placed && !out.empty()) // its other lines would count more than the run's own
    throw bad_usage("--resume", "which run goes on is said in " + user_config().string() + " alone",
                    "add --out " + shell_word(out.string()));
  if (counts_steps && minutes > 0) {
    minutes = 0;
    resumed.asked.insert("minutes");
  }
  return resumed;
}

} // namespace banyan
