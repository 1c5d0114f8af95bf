#include "apps/tree_view.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace banyan {

namespace {

constexpr auto plain = "\033[0m";

const char* colour_of(const thread_record& t) {
  switch (t.phase) {
  case thread_phase::decoding: return "\033[36m";
  case thread_phase::waiting: return "\033[33m";
  case thread_phase::done: return t.solution ? "\033[32m" : "\033[2m";
  case thread_phase::failed: return t.failure == errc::no_solution ? "\033[2m" : "\033[31m";
  default: return "\033[2m";
  }
}

/// "/0/10" as numbers, so that /2 comes before /10 and a parent before its children.
std::vector<unsigned long> numbers_of(const std::string& path) {
  std::vector<unsigned long> numbers;
  for (std::size_t i = 0; i < path.size() && path.size() > 1; i = path.find('/', i + 1))
    numbers.push_back(std::strtoul(path.c_str() + i + 1, nullptr, 10));
  return numbers;
}

std::string last_line(const thread_record& t) {
  auto text = t.text();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return printable(text.substr(text.rfind('\n') + 1));
}

std::string result_of(const thread_record& t) {
  if (t.solution) return "solved";
  if (t.failure == errc::none || t.failure == errc::no_solution) return "no solution";
  return std::string(to_string(t.failure));
}

std::string says(const thread_record& t) {
  if (ended(t.phase)) return result_of(t);
  if (t.waiting_for.empty()) return last_line(t);
  std::string text = "waits for";
  for (const auto& path : t.waiting_for) text += " " + printable(path);
  return text;
}

std::vector<const thread_record*> in_order(const tree& t) {
  std::vector<const thread_record*> threads;
  for (const auto& thread : t.threads) threads.push_back(&thread);
  std::stable_sort(threads.begin(), threads.end(), [](const auto* a, const auto* b) {
    return numbers_of(a->path) < numbers_of(b->path);
  });
  return threads;
}

/// The root and live threads first, in a room that leaves one row to count the others.
void keep_some(std::vector<const thread_record*>& threads, std::size_t rows) {
  if (threads.size() <= rows) return;
  const auto most = std::max<std::size_t>(rows, 2) - 1;
  const auto is_live = [](const auto* t) { return t->depth == 0 || !ended(t->phase); };
  const auto live = static_cast<std::size_t>(std::ranges::count_if(threads, is_live));
  auto ended_ones = most - std::min(live, most);
  std::erase_if(threads, [&](const auto* t) {
    if (is_live(t)) return false;
    if (ended_ones == 0) return true;
    --ended_ones;
    return false;
  });
  threads.resize(std::min(threads.size(), most));
}

} // namespace

std::vector<std::string> tree_lines(const tree& t,
                                    const std::map<std::string, std::uint64_t>& tokens,
                                    bool colours, int columns, std::size_t rows) {
  auto threads = in_order(t);
  keep_some(threads, rows);
  std::vector<std::string> lines;
  for (const auto* thread : threads) {
    const auto live = tokens.find(thread->path);
    const auto count =
        live != tokens.end() && !ended(thread->phase) ? live->second : thread->generated_tokens();
    const auto path = std::string(2 * std::min(thread->depth, 30u), ' ') + printable(thread->path);
    char figures[40];
    std::snprintf(figures, sizeof figures, " %-9s %6llu tokens  ",
                  std::string(to_string(thread->phase)).c_str(),
                  static_cast<unsigned long long>(count));
    const auto room = std::string(path.size() < 8 ? 8 - path.size() : 0, ' ');
    auto line = fit(path + room + figures + says(*thread), columns);
    lines.push_back(colours ? colour_of(*thread) + line + plain : line);
  }
  if (const auto others = t.threads.size() - threads.size(); others > 0)
    lines.push_back(fit("and " + counted(others, "more thread"), columns));
  return lines;
}

std::string title(const tree& t) {
  auto text = printable(t.id) + "  " + std::string(to_string(t.phase));
  return t.problem.numbers.empty() ? text : text + "  " + to_string(t.problem);
}

std::string outcome_text(const tree& t) {
  if (!t.outcome.solved)
    return t.outcome.claimed ? "not solved: the model's claim does not hold"
                             : "not solved: " + std::string(to_string(t.failure));
  std::string line;
  for (const auto& op : t.outcome.operations) line += (line.empty() ? "" : ", ") + op;
  return line + "  (verified)";
}

std::string figures(const tree_usage& u) {
  return counted(u.threads, "thread") + ", depth " + std::to_string(u.depth) + ", "
         + counted(u.rounds, "round") + ", " + counted(u.generated_tokens, "token") + ", "
         + std::to_string(u.critical_path_tokens) + " on the critical path, "
         + std::to_string(std::lround(u.wall_ms)) + " ms";
}

// ---- events

std::vector<std::string> tree_events::news(const tree& t) {
  std::vector<std::string> lines;
  begin(t, lines);
  auto threads = in_order(t);
  // Children end before their parents.
  for (auto i = threads.rbegin(); i != threads.rend(); ++i) end(t, **i, lines);
  return lines;
}

void tree_events::begin(const tree& t, std::vector<std::string>& lines) {
  for (const auto& thread : t.threads)
    if (started_.insert(thread.path).second) lines.push_back(thread.path + " started");
}

void tree_events::end(const tree& t, const thread_record& thread, std::vector<std::string>& lines) {
  // A join is over when nobody is waited for any more; its children are those of its round.
  if (thread.waiting_for.empty()) {
    std::map<std::uint32_t, std::uint64_t> rounds;
    for (const auto& child : t.threads)
      if (child.parent() == thread.path) ++rounds[child.round];
    for (const auto& [round, children] : rounds) {
      if (round < joined_[thread.path]) continue;
      joined_[thread.path] = round + 1;
      lines.push_back(thread.path + " joined " + std::to_string(children)
                      + (children == 1 ? " child" : " children"));
    }
  }
  if (ended(thread.phase) && ended_.insert(thread.path).second)
    lines.push_back(thread.path + " " + result_of(thread) + ", "
                    + counted(thread.generated_tokens(), "token"));
}

// ---- view

tree_view::tree_view(bool quiet)
    : quiet_(quiet),
      terminal_(can_draw_on(STDERR_FILENO)),
      colours_(banyan::colours(terminal_)),
      drawn_(STDERR_FILENO) {}

void tree_view::show(const std::vector<live_tree>& trees, std::size_t num_running) {
  if (quiet_) return;
  if (!terminal_) {
    for (const auto& t : trees) tell(t.value);
    return;
  }
  const auto size = size_of_terminal(STDERR_FILENO);
  const auto room = static_cast<std::size_t>(std::max(size.rows - 2, 4));
  std::vector<std::string> lines;
  std::size_t shown = 0;
  for (const auto& t : trees) {
    if (lines.size() + 2 > room) break;
    lines.push_back(fit(to_string(t.value.problem), size.columns - 1));
    for (auto& line :
         tree_lines(t.value, t.tokens, colours_, size.columns - 1, room - lines.size()))
      lines.push_back(std::move(line));
    ++shown;
  }
  if (num_running > shown && shown > 0)
    lines.push_back("and " + counted(num_running - shown, "more tree"));
  drawn_.show(lines);
}

void tree_view::tell(const tree& t) {
  for (const auto& line : events_[t.id].news(t)) note(to_string(t.problem) + ": " + line);
}

void tree_view::finish(const tree& t) {
  if (quiet_) return;
  drawn_.erase();
  if (terminal_) {
    std::string lines;
    for (const auto& line :
         tree_lines(t, {}, colours_, size_of_terminal(STDERR_FILENO).columns - 1))
      lines += line + "\n";
    return print_error(lines);
  }
  tell(t);
  events_.erase(t.id);
  print_error(::isatty(STDERR_FILENO) != 0 ? printable_lines(t.root().text()) : t.root().text());
}

} // namespace banyan
