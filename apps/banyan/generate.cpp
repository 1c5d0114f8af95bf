#include "apps/banyan/commands.hpp"

#include "apps/common_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/problem_file.hpp"
#include "apps/terminal.hpp"
#include "model/checkpoint.hpp"
#include "solver/records.hpp"

#include <algorithm>
#include <future>

namespace banyan {

namespace fs = std::filesystem;

namespace {

enum class file_format { json, jsonl, records };

struct generate_options {
  common_options common;
  problem_options problems;
  std::size_t count = 0;
  std::vector<std::string> exclude;
  fs::path out, given; ///< --out; --problems
  file_format format = file_format::jsonl;
  search_options search;
};

void declare_problems(option_list& list, generate_options& o) {
  list.group("Problems");
  list.number("count", o.count, "how many", positive);
  list.number("numbers", o.problems.num_numbers, "numbers in a problem", limits{2, 6});
  list.number("seed", o.problems.seed, "the same seed gives the same file");
  list.texts("exclude", o.exclude, "FILE", "problem files whose problems must not occur");
  list.number("workers", o.problems.workers, "OS threads; the result does not depend on it",
              limits{1, 256});
  list.path("out", o.out, "FILE", "default: standard output");
  list.choice("format", o.format,
              {{"jsonl", file_format::jsonl},
               {"json", file_format::json},
               {"records", file_format::records}},
              "of the file");
}

bool parse(option_list& list, generate_options& o, command_words words) {
  if (!list.parse(words)) return false;
  if (!o.common.config.empty()) list.read_config(o.common.config);
  return true;
}

std::vector<problem> drawn(const generate_options& o) {
  if (o.count == 0) throw bad_usage("--count", "it is missing", "say how many problems");
  const auto excluded = problems_of(o.exclude);
  try {
    return generate_problems(o.problems, o.count,
                             std::vector<problem>(excluded.begin(), excluded.end()));
  } catch (const std::invalid_argument& e) {
    throw bad_usage("--count " + std::to_string(o.count), e.what(),
                    "ask for fewer or exclude less");
  }
}

/// Makes `count` lines with `workers` OS threads, each a share of the indices.
template <class T, class Make>
std::vector<T> in_parallel(std::size_t count, int workers, Make make) {
  std::vector<T> all(count);
  std::vector<std::future<void>> running;
  for (int w = 0; w < workers; ++w)
    running.push_back(std::async(std::launch::async, [&, w] {
      for (auto i = static_cast<std::size_t>(w); i < count && interrupted() == 0;
           i += static_cast<std::size_t>(workers))
        all[i] = make(i);
    }));
  for (auto& r : running) r.get();
  return all;
}

void write_lines(const generate_options& o, const std::vector<std::string>& lines) {
  const bool array = o.format == file_format::json;
  std::string text = array ? "[\n" : "";
  for (std::size_t i = 0; i < lines.size(); ++i)
    text += lines[i] + (array && i + 1 < lines.size() ? ",\n" : "\n");
  if (array) text += "]\n";
  if (o.out.empty())
    print(text);
  else
    write_file_atomically(o.out, text);
}

/// Into a file beside it first, so that an earlier one stays until this one is whole.
void write_records(const generate_options& o, const std::vector<tree>& trees) {
  auto fresh = o.out;
  fresh += ".tmp";
  try {
    record_writer writer(fresh);
    for (const auto& t : trees) writer.write(t);
    writer.close();
  } catch (...) {
    fs::remove(fresh);
    throw;
  }
  fs::rename(fresh, o.out);
}

} // namespace

int generate_problems_command(command_words words) {
  generate_options o;
  option_list list(
      "generate problems", "--count N --numbers K [options]",
      "Draws distinct solvable Countdown problems: numbers 1 to 99, target 10 to 100.",
      "banyan generate problems --count 1000 --numbers 3 --seed 7 --out heldout.jsonl");
  declare_problems(list, o);
  declare(list, o.common);
  if (!parse(list, o, words)) return exit_done;
  if (o.format == file_format::records)
    throw bad_usage("--format records", "problems have no records", "take json or jsonl");
  const auto problems = drawn(o);
  write_lines(o, in_parallel<std::string>(problems.size(), o.problems.workers, [&](std::size_t i) {
                return problem_json(problems[i]);
              }));
  return interrupted() ? 128 + interrupted() : exit_done;
}

int generate_traces_command(command_words words) {
  generate_options o;
  o.search.spawn_probability = 0.9;
  option_list list(
      "generate traces",
      "--search apr|sos+|sos (--problems FILE | --count N --numbers K) [options]",
      "Solves problems by symbolic search and writes the searches down as demonstrations.",
      "banyan generate traces --search apr --count 1000 --numbers 4 --format records --out "
      "apr.trees");
  declare_problems(list, o);
  list.path("problems", o.given, "FILE", "search for these instead of drawing some");
  declare(list, o.search);
  declare(list, o.common);
  if (!parse(list, o, words)) return exit_done;
  if (o.format == file_format::records && o.out.empty())
    throw bad_usage("--format records", "records go to a file", "give --out FILE.trees");
  o.search.seed = o.problems.seed;
  std::vector<problem> problems;
  if (o.given.empty())
    problems = drawn(o);
  else
    for (auto& p : read_problems(o.given)) problems.push_back(std::move(p.value));
  auto trees = in_parallel<tree>(problems.size(), o.problems.workers, [&](std::size_t i) {
    return demonstrate(problems[i], o.search, i);
  });
  if (interrupted()) return 128 + interrupted();
  if (o.format == file_format::records)
    write_records(o, trees);
  else
    write_lines(o, in_parallel<std::string>(trees.size(), o.problems.workers, [&](std::size_t i) {
                  return trace_json(trees[i], o.search, i);
                }));
  return exit_done;
}

} // namespace banyan
