#include "apps/banyan/commands.hpp"

#include "apps/decoding_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_view.hpp"

#include <algorithm>
#include <cstdio>

namespace banyan {

namespace {

struct solve_options {
  common_options common;
  decoding_options decoding;
  std::filesystem::path problems;
  std::vector<std::string> target; ///< one entry at most
  std::vector<std::string> numbers;
};

option_list declare(solve_options& o) {
  option_list list("solve", "--target T N N... | --problems FILE [options]",
                   "Solves Countdown problems with a tree of reasoning threads: the root reasons, "
                   "spawns children\n"
                   "that decode in parallel, joins their solutions; the answer is verified.",
                   "banyan solve --target 54 25 7 3\n"
                   "banyan solve --problems models/demo-problems.json --json");
  list.group("What");
  list.texts("target", o.target, "T", "the number to reach with the numbers that follow");
  list.path("problems", o.problems, "FILE",
            "JSON array or JSON lines of objects with nums and target");
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

listed_problem problem_on_the_line(const solve_options& o) {
  if (o.target.size() != 1)
    throw bad_usage("--target", "it is given more than once",
                    "give it once; --problems takes a file of many");
  problem p;
  p.target = whole_number(o.target[0], "target");
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
  auto all = o.problems.empty() ? std::vector{problem_on_the_line(o)} : read_problems(o.problems);
  for (const auto& p : all)
    if (!solve_exhaustively(p.value)) {
      const auto text = to_string(p.value);
      throw bad_usage(p.where == text ? text : p.where + ": " + text,
                      "no combination of the numbers reaches the target",
                      "change a number or the target");
    }
  return all;
}

std::string figures(const tree& t) {
  const auto u = t.usage();
  char text[200];
  std::snprintf(text, sizeof text,
                "%u threads, depth %u, %u rounds, %llu tokens, %llu on the critical path, %.0f ms",
                u.threads, u.depth, u.rounds, static_cast<unsigned long long>(u.generated_tokens),
                static_cast<unsigned long long>(u.critical_path_tokens), u.wall_ms);
  return text;
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

} // namespace

int solve(command_words words) {
  solve_options o;
  auto list = declare(o);
  if (!list.parse(words)) return exit_done;
  if (!o.common.config.empty()) list.read_config(o.common.config);
  const auto listed = problems_of(o);
  const auto chosen = choose_model(o.decoding.model, listed);
  std::vector<problem> problems;
  for (const auto& p : listed) problems.push_back(p.value);

  runtime work(
      load_pools(chosen.folder, o.decoding),
      {.concurrency = o.decoding.concurrency, .watched = true, .seed = o.decoding.sampling.seed});
  tree_view view(o.common.quiet || o.common.json);
  std::size_t solved = 0;
  problem_run_hooks hooks;
  hooks.stop = [] { return interrupted() != 0; };
  hooks.on_tree = [&](std::size_t, const tree& t) {
    solved += t.outcome.solved;
    view.finish(t);
    if (interrupted() != 0) return;
    if (o.common.json)
      print(solve_json(t) + "\n");
    else
      print_result(t);
  };
  hooks.on_tick = [&](const auto& running) {
    if (running.empty()) return;
    const auto& id = running.front().second;
    if (const auto seen = work.seen(id)) view.show(*seen);
    work.look(id);
  };
  const auto result = run_problems(work, problems, o.decoding, hooks);
  if (result.stopped) return 128 + interrupted();
  return solved == problems.size() ? exit_done : exit_unsolved;
}

} // namespace banyan
