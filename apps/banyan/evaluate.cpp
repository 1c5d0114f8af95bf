#include "apps/banyan/commands.hpp"

#include "apps/decoding_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/terminal.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "trainer/evaluation.hpp"
#include "trainer/logprob_gap.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace banyan {

namespace {

/// Trees whose logprobs are scored again by the training pass.
constexpr std::size_t rescored = 32;

struct evaluate_options {
  common_options common;
  decoding_options decoding;
  std::filesystem::path problems, trees;
  double min_accuracy = 0;
};

constexpr auto about =
    "Solves a set of problems and prints accuracy with its 95 % interval, tokens in total and on "
    "the\n"
    "critical path, children per tree, failures by type and speed. The logprob gap is the largest\n"
    "difference between the logprob under which a token was sampled and the training pass's.";

constexpr auto examples =
    "  banyan evaluate --problems models/countdown-3/heldout.jsonl\n"
    "  banyan evaluate --problems p.jsonl --model runs/a/last --json --trees trees.jsonl\n"
    "  banyan evaluate --problems p.jsonl --min-accuracy 0.7 || echo worse than before\n";

option_list declare(evaluate_options& o) {
  option_list list("evaluate", "--problems FILE [options]", about, examples);
  list.group("What to evaluate");
  list.path("problems", o.problems, "FILE",
            "JSON array or JSON lines of objects with numbers (or nums) and target");
  list.path("trees", o.trees, "FILE", "also write every tree, one JSON object per line");
  list.number("min-accuracy", o.min_accuracy, "exit with 1 below this share", share);
  declare(list, o.decoding);
  declare(list, o.common);
  return list;
}

/// Trees as they end, one per line; nothing without a file.
class tree_file {
public:
  explicit tree_file(const std::filesystem::path& path) : path_(path) {
    if (path.empty()) return;
    out_.open(path);
    check();
  }
  void write(const tree& t) {
    if (path_.empty()) return;
    out_ << tree_json(t) << '\n';
    check();
  }
  void close() {
    if (path_.empty()) return;
    out_.close();
    check();
  }

private:
  void check() const {
    if (!out_) throw std::system_error(errno, std::generic_category(), path_.string());
  }
  std::filesystem::path path_;
  std::ofstream out_;
};

std::string percent(double x) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * x);
  return text;
}

void print_figures(const evaluation& e) {
  const auto [low, high] = e.ci95();
  print("solved      " + std::to_string(e.solved()) + " of " + std::to_string(e.problems()) + ", "
        + percent(e.accuracy()) + " (95 % interval " + percent(low) + " to " + percent(high)
        + "); claimed " + std::to_string(e.claimed()) + "\n");
  print("tokens      " + short_number(e.generated_tokens_mean()) + " a tree, "
        + short_number(e.critical_path_tokens_mean()) + " on the critical path\n");
  char children[80];
  std::snprintf(children, sizeof children, "children    %.1f a tree, at most %llu threads\n",
                e.children_mean(), static_cast<unsigned long long>(e.threads_max()));
  print(children);
  for (const auto& [name, count] : e.failures())
    print("failed      " + std::to_string(count) + " " + name + "\n");
  char speed[160];
  std::snprintf(
      speed, sizeof speed,
      "speed       %.1f problems/s, %s tokens/s, %.1f s in all; largest logprob gap %.1e\n",
      e.problems_per_s(), short_number(e.tokens_per_s()).c_str(), e.wall_s(), e.logprob_gap_max());
  print(speed);
}

/// Evenly spread over the set.
bool is_sampled(std::size_t index, std::size_t num_problems) {
  return num_problems <= rescored
         || (index * rescored) / num_problems != ((index + 1) * rescored) / num_problems;
}

/// Scores by the weights as training has them, in float32 whatever the pools decode in.
double largest_gap(const std::vector<tree>& sample, const std::filesystem::path& folder,
                   const decoding_options& o) {
  const auto device = o.devices.empty() ? "cpu" : o.devices.front();
  const auto model = load_checkpoint(folder, dtype::float32, device);
  const transformer scorer(model.weights);
  double largest = 0;
  for (const auto& t : sample)
    largest = std::max(
        largest, logprob_gap(t, scorer, *model.vocabulary, o.sampling.temperature, o.precision));
  return largest;
}

} // namespace

int evaluate(command_words words) {
  evaluate_options o;
  auto list = declare(o);
  if (!list.parse(words)) return exit_done;
  read_config(list, o.common);
  if (o.problems.empty()) throw bad_usage("--problems", "it is missing", "name a file of problems");
  const auto listed = read_problems(o.problems);
  const auto chosen = choose_model(o.decoding.model, listed);
  std::vector<problem> problems;
  for (const auto& p : listed) problems.push_back(p.value);
  tree_file trees(o.trees);

  evaluation figures;
  std::vector<tree> sample;
  progress_line progress(o.common.quiet);
  const auto work = start_runtime(chosen, o.decoding, o.common, false);
  problem_run_hooks hooks;
  hooks.stop = [] { return interrupted() != 0; };
  hooks.on_tree = [&](std::size_t index, const tree& t) {
    figures.add(t);
    trees.write(t);
    if (is_sampled(index, problems.size())) sample.push_back(t);
    progress.show(bar(double(figures.problems()) / double(problems.size()), 20) + " "
                  + std::to_string(figures.problems()) + " of " + std::to_string(problems.size())
                  + ", solved " + percent(figures.accuracy()));
  };
  const auto result = run_problems(*work, problems, o.decoding, hooks);
  progress.clear();
  trees.close();
  if (result.stopped) return 128 + interrupted();
  figures.took(result.wall_s);
  figures.found_gap(largest_gap(sample, chosen.folder, o.decoding));
  if (o.common.json)
    print(figures.json() + "\n");
  else
    print_figures(figures);
  return figures.accuracy() < o.min_accuracy ? exit_unsolved : exit_done;
}

} // namespace banyan
