#include "apps/banyan/commands.hpp"

#include "apps/decoding_options.hpp"
#include "apps/gap_sample.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/json_parts.hpp"
#include "apps/line_sink.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/results_file.hpp"
#include "apps/terminal.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/chance.hpp"
#include "solver/errc.hpp"
#include "trainer/evaluation.hpp"
#include "trainer/statistics.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

struct evaluate_options {
  common_options common;
  decoding_options decoding;
  std::filesystem::path problems, trees, results, against;
  std::size_t samples = 1;
  double min_accuracy = 0;
};

constexpr auto about =
    "Solves a set of problems and prints accuracy with its 95 % interval, tokens in total and on "
    "the\n"
    "critical path, children per tree, failures by type and speed. The logprob gap is the largest\n"
    "difference between the logprob under which a token was sampled and the training pass's.\n"
    "With --samples, pass@k is how often one of k samples at least is right, cons@k how often\n"
    "their majority is; samples without an answer do not vote, and ties count by their share.";

constexpr auto examples =
    "  banyan evaluate --problems models/countdown-3/heldout.jsonl\n"
    "  banyan evaluate --problems p.jsonl --model runs/a/last --json --trees trees.jsonl\n"
    "  banyan evaluate --problems p.jsonl --samples 8 --temperature 1\n"
    "  banyan evaluate --problems p.jsonl --join first_success --against results-of-all.jsonl\n"
    "  banyan evaluate --problems p.jsonl --min-accuracy 0.7 || echo worse than before\n";

option_list declare(evaluate_options& o) {
  option_list list("evaluate", "--problems FILE [options]", about, examples);
  list.group("What to evaluate");
  list.path("problems", o.problems, "FILE",
            "JSON array or JSON lines of objects with numbers (or nums) and target; `-`: standard "
            "input");
  list.number("samples", o.samples, "trees a problem, each with a seed of its own",
              limits{1, 1000});
  list.path("results", o.results, "FILE",
            "also write what became of every problem, one JSON object per sample");
  list.path("against", o.against, "FILE",
            "compare with such a file of another run over the same problems");
  list.path("trees", o.trees, "FILE", "also write every tree, one JSON object per line");
  list.number("min-accuracy", o.min_accuracy, "exit with 1 below this share", share);
  declare(list, o.decoding);
  declare(list, o.common);
  return list;
}

/// Sample `k` of a problem samples its tokens under this seed, whatever else is evaluated with it.
std::uint64_t sample_seed(std::uint64_t seed, std::size_t problem, std::size_t k) {
  return chance(chance(seed, problem).next(), k).next();
}

std::string percent(double x) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * x);
  return text;
}

std::string with_interval(const estimate& e) {
  return percent(e.value) + " (95 % interval " + percent(e.ci95[0]) + " to " + percent(e.ci95[1])
         + ")";
}

void print_figures(const evaluation& e) {
  const auto trees = e.problems() * e.samples();
  print("solved      " + std::to_string(e.solved()) + " of " + std::to_string(trees) + ", "
        + with_interval({e.accuracy(), e.ci95()}) + "; claimed " + std::to_string(e.claimed())
        + "\n");
  for (std::size_t k = 1; e.samples() > 1 && k <= e.samples();
       k = k < e.samples() ? std::min(2 * k, e.samples()) : k + 1) {
    char at[64];
    std::snprintf(at, sizeof at, "%-12s", ("of " + std::to_string(k)).c_str());
    print(at + ("pass " + with_interval(e.pass_at(k))) + ", cons " + with_interval(e.cons_at(k))
          + ", " + short_number(double(k) * e.generated_tokens_mean()) + " tokens\n");
  }
  print("tokens      " + short_number(e.generated_tokens_mean()) + " a tree, "
        + short_number(e.critical_path_tokens_mean()) + " on the critical path, "
        + short_number(e.wasted_tokens_mean()) + " that no join waited for\n");
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

void print_comparison(const paired_comparison& c, const std::filesystem::path& other) {
  char figures[160];
  std::snprintf(figures, sizeof figures,
                "%+.1f points (95 %% interval %+.1f to %+.1f); %zu better, %zu worse; p = %.3g",
                100 * c.difference.value, 100 * c.difference.ci95[0], 100 * c.difference.ci95[1],
                c.wins, c.losses, c.p);
  print("against     " + other.string() + ": " + figures + "\n");
}

std::string figures_json(const evaluation& e, const std::optional<paired_comparison>& compared,
                         const std::filesystem::path& other) {
  auto j = nlohmann::ordered_json::parse(e.json());
  if (compared)
    j["against"] = {
        {"file", other.string()},
        {"wins", compared->wins},
        {"losses", compared->losses},
        {"difference_points", 100 * compared->difference.value},
        {"ci95_points", {100 * compared->difference.ci95[0], 100 * compared->difference.ci95[1]}},
        {"p", compared->p}};
  return json_line(j);
}

/// What an earlier run over the same problems found.
std::optional<solved_shares> read_other(const std::filesystem::path& file,
                                        const std::vector<problem>& problems) {
  if (file.empty()) return {};
  auto other = solved_shares::read(file);
  if (const auto p = other.difference(problems))
    throw bad_usage(file.string(), "it is of other problems: " + to_string(*p) + " is in one only",
                    "evaluate both on the same --problems");
  return other;
}

/// Both are written as a whole, beside the figures on standard output.
void check_files(const evaluate_options& o) {
  for (const auto& [option, file] : {std::pair("--trees", o.trees), {"--results", o.results}})
    if (file == "-") throw bad_usage(option, "the figures go to standard output", "give a file");
  if (same_file(o.trees, o.results))
    throw bad_usage("--trees", "it is the file of --results", "give another one");
  for (const auto& [option, file] : {std::pair("--trees", o.trees), {"--results", o.results}})
    for (const auto& [other, read] :
         {std::pair("--problems", o.problems), {"--against", o.against}})
      if (same_file(file, read))
        throw bad_usage(option, std::string("it is the file of ") + other, "give another one");
}

void check(const evaluate_options& o) {
  check(o.decoding);
  if (o.problems.empty()) throw bad_usage("--problems", "it is missing", "name a file of problems");
  check_files(o);
}

/// Takes the trees as they end, each sample of each problem in its turn.
class gathering {
public:
  gathering(const evaluate_options& o, std::span<const listed_problem> problems)
      : figures(o.samples),
        gaps(problems.size()),
        problems_(problems),
        samples_(o.samples),
        progress_(o.common.quiet) {
    if (!o.trees.empty()) trees_.emplace(o.trees);
    if (!o.results.empty()) results_.emplace(o.results);
  }

  void add(std::size_t index, const tree& t) {
    const auto number = index / samples_, sample = index % samples_;
    figures.add(t);
    shares.add(problems_[number].value, t.outcome.solved);
    if (sample == 0) gaps.add(number, t);
    if (trees_) trees_->write(tree_json(t) + "\n");
    if (results_) results_->write(with_fields(result_json(t, sample), problems_[number]) + "\n");
    progress_.show(so_far());
  }

  void commit() {
    progress_.finish(so_far());
    if (trees_) trees_->commit();
    if (results_) results_->commit();
  }

  evaluation figures;
  solved_shares shares;
  gap_sample gaps;

private:
  std::string so_far() const {
    return bar(double(figures.problems()) / double(problems_.size()), 20) + " "
           + std::to_string(figures.problems()) + " of " + std::to_string(problems_.size())
           + (figures.problems() > 0 ? ", solved " + percent(figures.accuracy()) : "");
  }

  std::span<const listed_problem> problems_;
  std::size_t samples_;
  std::optional<line_sink> trees_, results_;
  progress_line progress_;
};

problem_run_result solve_all(const model_choice& chosen, const evaluate_options& o,
                             std::span<const problem> problems, gathering& into) {
  const auto work = start_runtime(chosen, o.decoding, o.common);
  const auto request = [&](std::size_t index) {
    const auto number = index / o.samples, sample = index % o.samples;
    auto r = o.decoding.request_for(problems[number]);
    r.sampling.seed = sample_seed(o.decoding.sampling.seed, number, sample);
    return r;
  };
  problem_run_hooks hooks;
  hooks.stop = [] { return interrupted() != 0; };
  hooks.on_tree = [&into](std::size_t index, const tree& t) { into.add(index, t); };
  return run_requests(*work, problems.size() * o.samples, request, o.decoding.concurrency, hooks);
}

void warn_of_late_trees(const evaluation& figures, const common_options& common) {
  const auto late = figures.failures().find(to_string(errc::deadline));
  if (late == figures.failures().end()) return;
  common.log(common_options::level::warning,
             counted(late->second, "tree")
                 + " had no time left and count as wrong; give a larger --deadline (0: none) or "
                   "a smaller --concurrency");
}

/// By the weights as training has them, on the first of the devices.
double largest_gap(const gap_sample& gaps, const model_choice& chosen, const decoding_options& o) {
  const auto device = o.devices.empty() ? "cpu" : o.devices.front();
  const auto model = load_checkpoint(chosen.folder, dtype::float32, device);
  return gaps.largest(transformer(model.weights), *model.vocabulary, o);
}

} // namespace

int evaluate(command_words words) {
  evaluate_options o;
  auto list = declare(o);
  if (!list.parse(words)) return exit_done;
  read_config(list, o.common);
  check(o);
  const auto listed = read_problems(o.problems);
  const auto chosen = choose_model(o.decoding.model, listed);
  std::vector<problem> problems;
  for (const auto& p : listed) problems.push_back(p.value);
  const auto other = read_other(o.against, problems);

  gathering gathered(o, listed);
  const auto run = solve_all(chosen, o, problems, gathered);
  if (run.stopped) return 128 + interrupted();
  gathered.commit();
  auto& figures = gathered.figures;
  warn_of_late_trees(figures, o.common);
  figures.took(run.wall_s);
  figures.found_gap(largest_gap(gathered.gaps, chosen, o.decoding));
  std::optional<paired_comparison> compared;
  if (other) compared = gathered.shares.against(*other);
  if (o.common.json)
    print(figures_json(figures, compared, o.against) + "\n");
  else
    print_figures(figures);
  if (compared && !o.common.json) print_comparison(*compared, o.against);
  return figures.accuracy() < o.min_accuracy ? exit_unsolved : exit_done;
}

} // namespace banyan
