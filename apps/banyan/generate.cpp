#include "apps/banyan/commands.hpp"

#include "apps/common_options.hpp"
#include "apps/interrupt.hpp"
#include "apps/line_sink.hpp"
#include "apps/problem_file.hpp"
#include "apps/published.hpp"
#include "apps/terminal.hpp"
#include "solver/problems.hpp"
#include "solver/record_file.hpp"
#include "trainer/evaluation.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

enum class file_format { json, jsonl, records };

struct generate_options {
  common_options common;
  problem_options problems;
  std::size_t count = 0;
  std::vector<std::string> exclude;
  fs::path out, given;               ///< --out; --problems
  std::optional<file_format> format; ///< nothing: as `out` ends
  bool summary = false;
  bool only_solved = false;
  std::size_t max_thread_bytes = 0; ///< of a thread's text; 0: any
  search_options search;

  generate_options() {
    problems.workers = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  }
};

void declare_problems(option_list& list, generate_options& o) {
  list.group("Problems");
  list.number("count", o.count, "how many", positive);
  list.number("numbers", o.problems.num_numbers, "numbers in a problem", limits{2, 6});
  list.number("seed", o.problems.seed, "the same seed gives the same file");
  list.texts("exclude", o.exclude, "FILE", "problem files whose problems must not occur");
  list.number("workers", o.problems.workers, "OS threads; the result does not depend on it",
              limits{1, 256});
  list.path("out", o.out, "FILE", "default, and `-`: standard output");
}

file_format format_of(const fs::path& out) {
  if (out.extension() == ".json") return file_format::json;
  if (out.extension() == ".trees") return file_format::records;
  return file_format::jsonl;
}

bool parse(option_list& list, generate_options& o, command_words words) {
  if (!list.parse(words)) return false;
  read_config(list, o.common);
  if (o.out == "-") o.out.clear();
  if (!o.format) o.format = format_of(o.out);
  const auto keep = [&o](const char* option, const fs::path& read) {
    if (same_file(o.out, read))
      throw bad_usage("--out", std::string("it is the file of ") + option, "give another one");
  };
  keep("--problems", o.given);
  for (const auto& file : o.exclude) keep("--exclude", file);
  return true;
}

/// What a long run says of itself.
class counter {
public:
  counter(const generate_options& o, const char* does, std::size_t count)
      : line_(o.common.quiet, std::chrono::seconds(10), false),
        does_(does),
        of_(" of " + std::to_string(count)) {}
  void show(std::size_t done) { line_.show(does_ + (" " + std::to_string(done)) + of_); }

private:
  progress_line line_;
  std::string does_, of_;
};

std::vector<problem> drawn(const generate_options& o) {
  if (o.count == 0) throw bad_usage("--count", "it is missing", "say how many problems");
  const ends_at_once nothing_written;
  const auto excluded = problems_of(o.exclude);
  counter progress(o, "drew", o.count);
  try {
    return generate_problems(o.problems, o.count,
                             std::vector<problem>(excluded.begin(), excluded.end()),
                             [&progress](std::size_t found) { progress.show(found); });
  } catch (const std::invalid_argument& e) {
    throw bad_usage("--count " + std::to_string(o.count), e.what(),
                    "ask for fewer or exclude less");
  }
}

/// Those of --problems that are not excluded.
std::vector<problem> given(const generate_options& o) {
  const auto excluded = problems_of(o.exclude);
  std::vector<problem> problems;
  for (auto& p : read_problems(o.given))
    if (!excluded.contains(canonical(p.value))) problems.push_back(std::move(p.value));
  if (problems.empty())
    throw bad_usage(o.given.string(), "all of its problems are excluded",
                    "exclude less or give others");
  return problems;
}

/// What is made of a problem; none where it is left out.
template <class Item>
using maker = std::function<std::optional<Item>(std::size_t)>;

/// Makes items with several OS threads, a few hundred at a time, and takes them in their order;
/// says so where all were left out.
template <class Item, class Take>
void in_order(const generate_options& o, std::size_t count, const maker<Item>& make, Take take) {
  const auto stride = static_cast<std::size_t>(o.problems.workers);
  counter progress(o, "made", count);
  const auto chunk = 256 * stride;
  std::size_t kept = 0;
  for (std::size_t begin = 0; begin < count && interrupted() == 0; begin += chunk) {
    std::vector<std::optional<Item>> items(std::min(chunk, count - begin));
    std::vector<std::future<void>> running;
    for (std::size_t w = 0; w < std::min(stride, items.size()); ++w)
      running.push_back(std::async(std::launch::async, [&, w] {
        for (auto i = w; i < items.size(); i += stride) items[i] = make(begin + i);
      }));
    for (auto& r : running) r.get();
    std::erase_if(items, [](const auto& item) { return !item; });
    kept += items.size();
    take(items);
    progress.show(std::min(begin + chunk, count));
  }
  if (kept == 0 && interrupted() == 0)
    o.common.log(common_options::level::warning,
                 "none of " + std::to_string(count)
                     + " searches is left: --only-solved or --max-thread-bytes leaves all out");
}

int write_lines(const generate_options& o, std::size_t count, const maker<std::string>& make) {
  const bool array = o.format == file_format::json;
  line_sink out(o.out);
  std::string_view before = array ? "[\n" : "";
  in_order(o, count, make, [&](const auto& lines) {
    std::string text;
    for (const auto& line : lines) {
      text.append(before) += *line;
      if (array)
        before = ",\n";
      else
        text += '\n';
    }
    out.write(text);
  });
  if (interrupted() != 0) return 128 + interrupted();
  if (array) out.write(before == ",\n" ? "\n]\n" : "[\n]\n");
  out.commit();
  return exit_done;
}

int write_records(const generate_options& o, std::size_t count, const maker<std::string>& make) {
  line_sink out(o.out);
  in_order(o, count, make, [&](const auto& records) {
    for (const auto& record : records) out.write(*record);
  });
  if (interrupted() != 0) return 128 + interrupted();
  out.commit();
  return exit_done;
}

/// How good the search is, without the searches.
int print_summary(const generate_options& o, std::size_t count, const maker<tree>& make) {
  evaluation figures;
  in_order(o, count, make, [&](const auto& trees) {
    for (const auto& t : trees) figures.add(*t);
  });
  if (interrupted() != 0) return 128 + interrupted();
  const auto [low, high] = figures.ci95();
  if (o.common.json) {
    print(nlohmann::ordered_json{{"problems", figures.problems()},
                                 {"solved", figures.solved()},
                                 {"accuracy", figures.accuracy()},
                                 {"ci95", {low, high}},
                                 {"children_mean", figures.children_mean()},
                                 {"threads_max", figures.threads_max()}}
              .dump()
          + "\n");
    return exit_done;
  }
  char text[200];
  std::snprintf(text, sizeof text,
                "solved      %llu of %llu, %.1f %% (95 %% interval %.1f %% to %.1f %%)\n"
                "children    %.1f a tree, at most %llu threads\n",
                static_cast<unsigned long long>(figures.solved()),
                static_cast<unsigned long long>(figures.problems()), 100 * figures.accuracy(),
                100 * low, 100 * high, figures.children_mean(),
                static_cast<unsigned long long>(figures.threads_max()));
  print(text);
  return exit_done;
}

/// The search for the i-th problem, if it is one that was asked for.
std::optional<tree> searched(const generate_options& o, const problem& p, std::size_t i) {
  auto t = demonstrate(p, o.search, i);
  const auto too_long = [&o](const thread_record& thread) {
    return o.max_thread_bytes > 0 && thread.text().size() > o.max_thread_bytes;
  };
  if ((o.only_solved && !t.outcome.solved) || std::ranges::any_of(t.threads, too_long)) return {};
  return t;
}

} // namespace

int generate_problems_command(command_words words) {
  generate_options o;
  option_list list(
      "generate problems", "--count N --numbers K [options]",
      "Draws distinct solvable Countdown problems: numbers 1 to 99, target 10 to 100.\n"
      "Numbers and target are uniform, and what has no solution is drawn anew; the order of its\n"
      "numbers makes no other problem.",
      "  banyan generate problems --count 1000 --numbers 3 --seed 7 --out heldout.jsonl\n"
      "  banyan generate problems --count 5 --numbers 4 --exclude heldout.jsonl\n");
  declare_problems(list, o);
  list.choice("format", o.format, {{"jsonl", file_format::jsonl}, {"json", file_format::json}},
              "default: as --out ends");
  declare(list, o.common);
  if (!parse(list, o, words)) return exit_done;
  if (o.format == file_format::records)
    throw bad_usage(o.out.string(), "problems have no records", "take .json or .jsonl");
  const auto problems = drawn(o);
  return write_lines(o, problems.size(), [&](std::size_t i) { return problem_json(problems[i]); });
}

int generate_traces_command(command_words words) {
  generate_options o;
  option_list list(
      "generate traces",
      "--search apr|sos+|sos (--problems FILE | --count N --numbers K) [options]",
      "Solves problems by symbolic search and writes the searches down as demonstrations, in the\n"
      "published JSON layout or as records (.trees).",
      "  banyan generate traces --count 1000 --numbers 4 --out apr.trees\n"
      "  banyan generate traces --search sos+ --problems p.json --out sosp.json\n"
      "  banyan generate traces --count 1 --numbers 3 --beam 15:15 --order generation | head\n"
      "  banyan generate traces --search sos-dfs --problems p.jsonl --summary --json\n");
  declare_problems(list, o);
  list.path("problems", o.given, "FILE",
            "search for these instead of drawing some; `-`: standard input");
  list.choice("format", o.format,
              {{"jsonl", file_format::jsonl},
               {"json", file_format::json},
               {"records", file_format::records}},
              "default: as --out ends");
  list.flag("summary", o.summary, "print how many the search solves, and write no searches");
  list.flag("only-solved", o.only_solved,
            "leave out searches without a solution (rejection sampling)");
  list.number("max-thread-bytes", o.max_thread_bytes,
              "leave out searches in which a thread has a longer text; 0: none");
  declare(list, o.search);
  declare(list, o.common);
  if (!parse(list, o, words)) return exit_done;
  if (o.format == file_format::records && o.out.empty())
    throw bad_usage("--format records", "records go to a file", "give --out FILE.trees");
  if (!o.given.empty() && o.count > 0)
    throw bad_usage("--count", "--problems is given too", "give one of the two");
  if (o.summary && !o.out.empty())
    throw bad_usage("--summary", "it writes no searches to --out", "give one of the two");
  for (const auto& [option, asked] :
       {std::pair("--only-solved", o.only_solved), {"--max-thread-bytes", o.max_thread_bytes > 0}})
    if (o.summary && asked)
      throw bad_usage("--summary",
                      std::string("it is of all searches, and ") + option + " leaves some out",
                      "give one of the two");
  o.search.seed = o.problems.seed;
  complete(o.search, list);
  check(o.search);
  const auto problems = o.given.empty() ? drawn(o) : given(o);
  const maker<tree> search = [&](std::size_t i) { return searched(o, problems[i], i); };
  if (o.summary) return print_summary(o, problems.size(), search);
  const auto written = [&o, &search](const auto& as_text) -> maker<std::string> {
    return [&search, as_text](std::size_t i) {
      const auto t = search(i);
      return t ? std::optional(as_text(*t, i)) : std::nullopt;
    };
  };
  if (o.format == file_format::records)
    return write_records(o, problems.size(),
                         written([](const tree& t, std::size_t) { return encode_record(t); }));
  return write_lines(o, problems.size(), written([&o](const tree& t, std::size_t i) {
                       return trace_json(t, o.search, i);
                     }));
}

} // namespace banyan
