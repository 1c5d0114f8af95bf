#include "apps/banyan/commands.hpp"

#include "apps/asked_problems.hpp"
#include "apps/decoding_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_run.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_view.hpp"

namespace banyan {

namespace {

struct solve_options {
  common_options common;
  decoding_options decoding;
  asked_problems problems;
};

constexpr auto about =
    "Solves Countdown problems with a tree of reasoning threads: the root reasons, spawns children "
    "that\n"
    "decode in parallel, and joins what they found. Every answer is verified: exit code 0 means "
    "that\n"
    "each problem has a correct solution, 1 that one has none. On a terminal the tree is drawn "
    "while it grows.";

constexpr auto examples =
    "  banyan solve --target 54 25 7 3                  combine 25, 7 and 3 to make 54\n"
    "  banyan solve --problems models/demo-problems.json --json\n"
    "  banyan solve --target 54 25 7 3 --temperature 1 --seed 7 --join first_success\n"
    "  banyan solve --problems p.jsonl --device cuda:0 --device cuda:1 --dtype bfloat16\n";

option_list declare(solve_options& o) {
  option_list list("solve", "--target T N N... | --problems FILE [options]", about, examples);
  declare(list, o.problems);
  declare(list, o.decoding);
  declare(list, o.common);
  return list;
}

void print_result(const tree& t) {
  print(to_string(t.problem) + ": " + outcome_text(t) + "\n  " + figures(t.usage()) + "\n");
}

/// What a person sees while trees grow: the trees themselves, or how far many of them have come.
class spectator {
public:
  spectator(runtime& work, bool quiet, std::size_t num_problems)
      : work_(work),
        many_(num_problems > most_shown && !can_draw_on(STDERR_FILENO)),
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
  read_config(list, o.common);
  check(o.decoding);
  const auto listed = o.problems.read("solve");
  const auto chosen = choose_model(o.decoding.model, listed);
  std::vector<problem> problems;
  for (const auto& p : listed) problems.push_back(p.value);

  const bool quiet = o.common.quiet || o.common.json;
  const auto work = start_runtime(chosen, o.decoding, o.common);
  spectator people(*work, quiet, problems.size());
  problem_run_hooks hooks;
  hooks.stop = [] { return interrupted() != 0; };
  hooks.on_tree = [&](std::size_t index, const tree& t) {
    if (interrupted() != 0) return;
    people.finish(t);
    if (o.common.json)
      print(with_fields(solve_json(t), listed[index]) + "\n");
    else
      print_result(t);
  };
  if (!quiet) hooks.on_tick = [&](const auto& running) { people.look(running); };
  const auto result = run_problems(*work, problems, o.decoding, hooks);
  if (result.stopped) return 128 + interrupted();
  return people.solved() == problems.size() ? exit_done : exit_unsolved;
}

} // namespace banyan
