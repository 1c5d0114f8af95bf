#include "apps/banyan/commands.hpp"

#include "apps/decoding_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_view.hpp"

#include <cmath>

namespace banyan {

namespace {

struct solve_options {
  common_options common;
  decoding_options decoding;
  std::filesystem::path problems;
  std::vector<std::string> target; ///< and the numbers that follow it
  std::vector<std::string> numbers;
};

constexpr auto about =
    "Solves Countdown problems with a tree of reasoning threads: the root reasons, spawns children "
    "that\n"
    "decode in parallel, and joins what they found. Every answer is verified: exit code 0 means "
    "that\n"
    "each problem has a correct solution. On a terminal the tree is drawn while it grows.";

constexpr auto examples =
    "  banyan solve --target 54 25 7 3                  combine 25, 7 and 3 to make 54\n"
    "  banyan solve --problems models/demo-problems.json --json\n"
    "  banyan solve --target 54 25 7 3 --temperature 1 --seed 7 --join first_success\n"
    "  banyan solve --problems p.jsonl --device cuda:0 --device cuda:1 --dtype bfloat16\n";

option_list declare(solve_options& o) {
  option_list list("solve", "--target T N N... | --problems FILE [options]", about, examples);
  list.group("What to solve");
  list.texts("target", o.target, "T", "the number to reach with the numbers that follow").single();
  list.path("problems", o.problems, "FILE",
            "JSON array or JSON lines of objects with numbers (or nums) and target");
  declare(list, o.decoding);
  declare(list, o.common);
  list.positional(o.numbers, "N");
  return list;
}

std::int64_t whole_number(const std::string& text, const char* what) {
  std::int64_t value = 0;
  if (!read_number(text, value))
    throw bad_usage("'" + text + "'", std::string("not a ") + what,
                    "give whole numbers, as in `--target 54 25 7 3`");
  return value;
}

/// `--target T N N...`: what follows the target counts as its value or stands alone.
listed_problem problem_on_the_line(const solve_options& o) {
  problem p;
  p.target = whole_number(o.target[0], "target");
  for (std::size_t i = 1; i < o.target.size(); ++i)
    p.numbers.push_back(whole_number(o.target[i], "number"));
  for (const auto& n : o.numbers) p.numbers.push_back(whole_number(n, "number"));
  const auto text = to_string(p);
  if (const auto why = malformed(p)) throw bad_usage(text, *why, "give two to six numbers");
  return {p, text};
}

std::vector<listed_problem> problems_of(const solve_options& o) {
  if (o.target.empty() == o.problems.empty())
    throw bad_usage("solve",
                    o.target.empty() ? "there is nothing to solve"
                                     : "both --target and --problems are given",
                    "give `--target T N N...` or `--problems FILE`");
  if (o.target.empty() && !o.numbers.empty())
    throw bad_usage("'" + o.numbers[0] + "'", "a number without --target",
                    "give `--target T N N...`");
  return o.problems.empty() ? std::vector{problem_on_the_line(o)} : read_problems(o.problems);
}

/// A model cannot find what is not there: that is the input's fault, and said before anything
/// starts.
void require_solvable(const std::vector<listed_problem>& problems) {
  const ends_at_once nothing_begun;
  for (const auto& p : problems) {
    if (solve_exhaustively(p.value)) continue;
    const auto text = to_string(p.value);
    throw bad_usage(p.where == text ? text : p.where + ": " + text,
                    "no combination of the numbers reaches the target",
                    "change a number or the target");
  }
}

std::string counted(std::uint64_t n, const char* noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string figures(const tree& t) {
  const auto u = t.usage();
  return counted(u.threads, "thread") + ", depth " + std::to_string(u.depth) + ", "
         + counted(u.rounds, "round") + ", " + counted(u.generated_tokens, "token") + ", "
         + std::to_string(u.critical_path_tokens) + " on the critical path, "
         + std::to_string(std::lround(u.wall_ms)) + " ms";
}

void print_result(const tree& t) {
  std::string line = to_string(t.problem) + ": ";
  if (t.outcome.solved) {
    for (const auto& op : t.outcome.operations)
      line += (&op == t.outcome.operations.data() ? "" : ", ") + op;
    line += "  (verified)";
  } else if (t.outcome.claimed) {
    line += "not solved: the model's claim does not hold";
  } else {
    line += "not solved: " + std::string(to_string(t.failure));
  }
  print(line + "\n  " + figures(t) + "\n");
}

/// What a person sees while trees grow: the trees themselves, or how far many of them have come.
class spectator {
public:
  spectator(runtime& work, bool quiet, std::size_t num_problems)
      : work_(work),
        many_(num_problems > most_shown && !stderr_is_terminal()),
        total_(num_problems),
        view_(quiet || many_),
        line_(quiet || !many_) {}

  void look(const std::vector<std::pair<std::size_t, std::string>>& running) {
    if (many_) return;
    std::vector<live_tree> seen;
    for (const auto& [index, id] : running) {
      if (seen.size() == most_shown) break;
      if (auto tree = work_.seen(id)) seen.push_back(std::move(*tree));
      work_.look(id);
    }
    view_.show(seen, running.size());
  }

  void finish(const tree& t) {
    solved_ += t.outcome.solved;
    ++finished_;
    view_.finish(t);
    line_.show("solved " + std::to_string(solved_) + " of " + std::to_string(finished_) + ", "
               + std::to_string(total_ - finished_) + " to go");
  }

  std::size_t solved() const { return solved_; }

private:
  /// More trees than these are counted, not shown.
  static constexpr std::size_t most_shown = 20;

  runtime& work_;
  bool many_;
  std::size_t total_, finished_ = 0, solved_ = 0;
  tree_view view_;
  progress_line line_;
};

} // namespace

int solve(command_words words) {
  solve_options o;
  auto list = declare(o);
  if (!list.parse(words)) return exit_done;
  if (!o.common.config.empty()) list.read_config(o.common.config);
  const auto listed = problems_of(o);
  const auto chosen = choose_model(o.decoding.model, listed);
  require_solvable(listed);
  std::vector<problem> problems;
  for (const auto& p : listed) problems.push_back(p.value);

  const bool quiet = o.common.quiet || o.common.json;
  const auto work = start_runtime(chosen, o.decoding, o.common, !quiet);
  spectator people(*work, quiet, problems.size());
  problem_run_hooks hooks;
  hooks.stop = [] { return interrupted() != 0; };
  hooks.on_tree = [&](std::size_t, const tree& t) {
    if (interrupted() != 0) return;
    people.finish(t);
    if (o.common.json)
      print(solve_json(t) + "\n");
    else
      print_result(t);
  };
  if (!quiet) hooks.on_tick = [&](const auto& running) { people.look(running); };
  const auto result = run_problems(*work, problems, o.decoding, hooks);
  if (result.stopped) return 128 + interrupted();
  return people.solved() == problems.size() ? exit_done : exit_unsolved;
}

} // namespace banyan
