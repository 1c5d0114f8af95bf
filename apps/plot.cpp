#include "apps/plot.hpp"

#include <algorithm>
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

using json = nlohmann::json;

/// The lines of a run's log: its steps, and as many evaluations as there were.
struct run_log {
  std::vector<json> steps, evaluations;
};

run_log read_log(const std::filesystem::path& file) {
  run_log log;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto j = json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("step")) continue;
    if (!j.contains("eval"))
      log.steps.push_back(std::move(j));
    else if (j["eval"].is_object())
      log.evaluations.push_back(
          {{"step", j["step"]}, {"accuracy", j["eval"].value("accuracy", 0.0)}});
  }
  return log;
}

bool has_number(const json& j, const char* name) { return j.contains(name) && j[name].is_number(); }

/// One column of the log, as pairs of step and value.
std::string column(const std::vector<json>& lines, const char* name) {
  std::ostringstream out;
  for (const auto& j : lines)
    if (has_number(j, name)) out << j["step"] << ' ' << j[name] << '\n';
  return out.str();
}

/// Points as gnuplot's inline data.
std::string data(const std::string& name, const std::string& points) {
  return "$" + name + " << END\n" + points + "END\n";
}

/// Demonstrations and drills are curves of their own, for their losses do not compare.
std::string loss_script(const run_log& log) {
  std::vector<json> traces, drills;
  for (const auto& j : log.steps) (j.value("drill", false) ? drills : traces).push_back(j);
  const auto accuracy = column(log.evaluations, "accuracy");
  std::string text = "set xlabel 'step'\nset ylabel 'loss'\nset logscale y\nset grid\n"
                     "set key top right\n";
  if (!accuracy.empty()) text += "set y2label 'accuracy'\nset y2range [0:1]\nset y2tics\n";
  std::string curves;
  const auto add = [&](const std::string& name, const std::string& points, const char* how) {
    if (points.empty()) return;
    text += data(name, points);
    curves += (curves.empty() ? "plot $" : ", $") + name + how;
  };
  add("traces", column(traces, "loss"), " with lines lw 1.5 title 'demonstrations'");
  add("drills", column(drills, "loss"), " with points pt 7 ps 0.3 title 'drills'");
  add("accuracy", accuracy, " axes x1y2 with linespoints title 'accuracy'");
  return text + curves + "\n";
}

/// A curve of a picture: a column of the log's lines, and how it is drawn.
struct curve {
  const char *name, *how;
  bool positive = false; ///< on a logarithmic axis
};

/// Curves that share axes: what is set before them, and unset behind them.
struct panel {
  const char* before;
  std::vector<curve> curves;
  const char* after = "";
};

/// gnuplot fails where a curve has no point that could be drawn.
bool has_points(const std::vector<json>& lines, const curve& c) {
  return std::ranges::any_of(lines, [&c](const json& j) {
    return has_number(j, c.name) && (!c.positive || j[c.name].get<double>() > 0);
  });
}

/// Without a curve its place stays empty.
std::string panel_script(const panel& p, const std::vector<json>& lines) {
  std::string curves;
  for (const auto& c : p.curves)
    if (has_points(lines, c))
      curves += (curves.empty() ? "plot $" : ", $") + std::string(c.name) + " " + c.how;
  if (curves.empty()) return "set multiplot next\n";
  return p.before + curves + "\n" + p.after;
}

std::string rl_script(const run_log& log) {
  // A rare token alone makes a peak of the KL.
  const std::vector<panel> panels{
      {"set ylabel 'share'\n",
       {{"accuracy", "with lines lw 1.5 title 'solved, sampled'"},
        {"reward_mean", "with lines lw 1.5 title 'reward'"},
        {"greedy", "with linespoints title 'solved, greedy'"}}},
      {"set ylabel 'children a tree'\n", {{"children_mean", "with lines lw 1.5 notitle"}}},
      {"set ylabel 'tokens a tree'\n",
       {{"generated_tokens_mean", "with lines lw 1.5 title 'in total'"},
        {"critical_path_tokens_mean", "with lines lw 1.5 title 'on the critical path'"}}},
      {"set ylabel 'KL'\nset logscale y\nset format y '%.0e'\nset key top right\n"
       "set y2label 'entropy'\nset ytics nomirror\nset y2tics\n",
       {{"kl", "with lines lw 1.5 title 'KL to the first weights'", true},
        {"entropy", "axes x1y2 with lines lw 1.5 title 'entropy'"}},
       "unset y2tics\nunset y2label\nset ytics mirror\n"},
      {"set ylabel 'largest logprob gap'\nset logscale y\nset format y '%.0e'\n",
       {{"logprob_gap_max", "with lines lw 1.5 notitle", true}}},
      {"set ylabel 'seconds a step'\nunset logscale y\nset format y\n",
       {{"rollout_s", "with lines lw 1.5 title 'rollouts'"},
        {"train_s", "with lines lw 1.5 title 'training'"},
        {"wait_s", "with lines lw 1.5 title 'training waits'"}}}};
  auto lines = log.steps;
  for (const auto& e : log.evaluations)
    lines.push_back({{"step", e["step"]}, {"greedy", e["accuracy"]}});
  std::string text;
  for (const auto& p : panels)
    for (const auto& c : p.curves) text += data(c.name, column(lines, c.name));
  text += "set multiplot layout 3,2\nset grid\nset xlabel 'step'\nset key bottom right\n";
  for (const auto& p : panels) text += panel_script(p, lines);
  return text + "unset multiplot\n";
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

/// Draws a picture of this size in the folder; one that is there already stays until then.
bool draw(const std::filesystem::path& folder, const std::string& picture, const std::string& size,
          const std::string& script) {
  const auto fresh = picture + ".tmp";
  const bool drawn =
      run_gnuplot(folder, "set terminal svg size " + size + " background '#ffffff'\nset output '"
                              + fresh + "'\n" + script);
  if (drawn)
    std::filesystem::rename(folder / fresh, folder / picture);
  else
    std::filesystem::remove(folder / fresh);
  return drawn;
}

} // namespace

bool plot_rl(const std::filesystem::path& folder) {
  const auto log = read_log(folder / "log.jsonl");
  return log.steps.size() > 1 && draw(folder, "curve.svg", "1000,900", rl_script(log));
}

bool plot_loss(const std::filesystem::path& folder) {
  const auto log = read_log(folder / "log.jsonl");
  const auto losses =
      std::ranges::count_if(log.steps, [](const auto& j) { return has_number(j, "loss"); });
  return losses > 1 && draw(folder, "loss.svg", "800,500", loss_script(log));
}

} // namespace banyan
