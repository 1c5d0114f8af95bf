#include "apps/plot.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace banyan {

namespace {

struct close_file {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// The points of the log as gnuplot's inline data; traces and drills are curves of their own, for
/// their losses do not compare.
struct curves {
  std::ostringstream traces, drills, accuracy;
  int losses = 0, evaluations = 0;
};

void read_log(const std::filesystem::path& file, curves& c) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto j = nlohmann::json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("step")) continue;
    if (j.contains("eval")) {
      if (!j["eval"].is_object()) continue;
      c.accuracy << j["step"] << ' ' << j["eval"].value("accuracy", 0.0) << '\n';
      ++c.evaluations;
    } else if (j.contains("loss") && j["loss"].is_number()) {
      (j.value("drill", false) ? c.drills : c.traces) << j["step"] << ' ' << j["loss"] << '\n';
      ++c.losses;
    }
  }
}

std::string script(const curves& c) {
  std::ostringstream out;
  out << "$traces << END\n"
      << c.traces.str() << "END\n"
      << "$drills << END\n"
      << c.drills.str() << "END\n"
      << "$accuracy << END\n"
      << c.accuracy.str() << "END\n"
      << "set terminal svg size 800,500 background '#ffffff'\n"
         "set output 'loss.svg.tmp'\n"
         "set xlabel 'step'\nset ylabel 'loss'\nset logscale y\nset grid\nset key top right\n";
  if (c.evaluations > 0) out << "set y2label 'accuracy'\nset y2range [0:1]\nset y2tics\n";
  std::string plots;
  const auto add = [&plots](const std::string& plot) {
    plots += (plots.empty() ? "" : ", ") + plot;
  };
  if (!c.traces.str().empty()) add("$traces with lines lw 1.5 title 'demonstrations'");
  if (!c.drills.str().empty()) add("$drills with points pt 7 ps 0.3 title 'drills'");
  if (c.evaluations > 0) add("$accuracy axes x1y2 with linespoints title 'accuracy'");
  out << "plot " << plots << '\n';
  return out.str();
}

/// Runs gnuplot in the folder with the script as its standard input: no shell, no quoting of paths.
bool run_gnuplot(const std::filesystem::path& folder, const std::string& text) {
  std::unique_ptr<std::FILE, close_file> input(std::tmpfile());
  if (!input || std::fwrite(text.data(), 1, text.size(), input.get()) != text.size()
      || std::fflush(input.get()) != 0)
    throw std::system_error(errno, std::generic_category(), "temporary file for gnuplot");
  std::rewind(input.get());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  ::posix_spawn_file_actions_adddup2(&actions, ::fileno(input.get()), STDIN_FILENO);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
  std::string program = "gnuplot", no_rc = "-d", from = "-";
  char* arguments[] = {program.data(), no_rc.data(), from.data(), nullptr};
  pid_t child = 0;
  const auto error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return false; // not installed
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// One column of the log, as pairs of step and value.
std::string column(const std::vector<nlohmann::json>& steps, const char* name) {
  std::ostringstream out;
  for (const auto& j : steps)
    if (j.contains(name) && j[name].is_number()) out << j["step"] << ' ' << j[name] << '\n';
  return out.str();
}

struct rl_log {
  std::vector<nlohmann::json> steps, evaluations;
};

rl_log read_rl_log(const std::filesystem::path& file) {
  rl_log log;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto j = nlohmann::json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("step")) continue;
    if (!j.contains("eval"))
      log.steps.push_back(std::move(j));
    else if (j["eval"].is_object())
      log.evaluations.push_back(
          {{"step", j["step"]}, {"accuracy", j["eval"].value("accuracy", 0.0)}});
  }
  return log;
}

std::string rl_script(const rl_log& log) {
  constexpr std::array names{"accuracy",
                             "reward_mean",
                             "children_mean",
                             "kl",
                             "generated_tokens_mean",
                             "critical_path_tokens_mean",
                             "entropy",
                             "logprob_gap_max",
                             "rollout_s",
                             "train_s",
                             "wait_s",
                             "pool_idle"};
  std::ostringstream out;
  for (const auto* name : names)
    out << '$' << name << " << END\n" << column(log.steps, name) << "END\n";
  out << "$greedy << END\n" << column(log.evaluations, "accuracy") << "END\n";
  out << "set terminal svg size 1000,900 background '#ffffff'\nset output 'curve.svg.tmp'\n"
         "set multiplot layout 3,2\nset grid\nset xlabel 'step'\nset key bottom right\n"
         "set ylabel 'share'\n"
         "plot $accuracy with lines lw 1.5 title 'solved, sampled', $reward_mean with lines lw 1.5 "
         "title 'reward'";
  if (!log.evaluations.empty()) out << ", $greedy with linespoints title 'solved, greedy'";
  out << "\nset ylabel 'children a tree'\nplot $children_mean with lines lw 1.5 notitle\n"
         "set ylabel 'tokens a tree'\n"
         "plot $generated_tokens_mean with lines lw 1.5 title 'in total', "
         "$critical_path_tokens_mean with lines lw 1.5 title 'on the critical path'\n"
         "set ylabel 'KL'\nset y2label 'entropy'\nset ytics nomirror\nset y2tics\n"
         "set logscale y\nset format y '%.0e'\nset key top right\n" // a rare token alone makes a
                                                                    // peak
         "plot $kl with lines lw 1.5 title 'KL to the first weights', "
         "$entropy axes x1y2 with lines lw 1.5 title 'entropy'\n"
         "unset y2tics\nunset y2label\nset ytics mirror\n"
         "set ylabel 'largest logprob gap'\n"
         "plot $logprob_gap_max with lines lw 1.5 notitle\nunset logscale y\nset format y\n"
         "set ylabel 'seconds a step'\n"
         "plot $rollout_s with lines lw 1.5 title 'rollouts', $train_s with lines lw 1.5 title "
         "'training', $wait_s with lines lw 1.5 title 'training waits'\nunset multiplot\n";
  return out.str();
}

} // namespace

bool plot_rl(const std::filesystem::path& folder) {
  const auto log = read_rl_log(folder / "log.jsonl");
  if (log.steps.size() < 2) return false;
  const auto fresh = folder / "curve.svg.tmp";
  const bool drawn = run_gnuplot(folder, rl_script(log));
  if (drawn)
    std::filesystem::rename(fresh, folder / "curve.svg");
  else
    std::filesystem::remove(fresh);
  return drawn;
}

bool plot_loss(const std::filesystem::path& folder) {
  curves c;
  read_log(folder / "log.jsonl", c);
  if (c.losses < 2) return false;
  const auto fresh = folder / "loss.svg.tmp";
  const bool drawn = run_gnuplot(folder, script(c));
  if (drawn)
    std::filesystem::rename(fresh, folder / "loss.svg");
  else
    std::filesystem::remove(fresh);
  return drawn;
}

} // namespace banyan
