#include "apps/tree_view.hpp"

#include "apps/terminal.hpp"
#include "solver/tree.hpp"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

namespace banyan {

namespace {

const char* colour_of(const thread_record& t) {
  switch (t.phase) {
  case thread_phase::decoding: return "\033[36m";
  case thread_phase::waiting: return "\033[33m";
  case thread_phase::done: return t.solution ? "\033[32m" : "\033[2m";
  case thread_phase::failed: return "\033[31m";
  default: return "\033[2m";
  }
}

/// The last whole line of a thread's text.
std::string last_line(const thread_record& t) {
  auto text = t.text();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

std::string says(const thread_record& t) {
  if (t.solution) return "found a solution";
  if (t.failure == errc::no_solution) return "no solution";
  if (t.failure != errc::none) return std::string(to_string(t.failure));
  if (!t.waiting_for.empty())
    return "waits for " + std::to_string(t.waiting_for.size()) + " children";
  return last_line(t);
}

} // namespace

std::vector<std::string> tree_lines(const tree& t, bool colours, int columns) {
  auto threads = t.threads;
  // Depth first: by path, number by number.
  std::stable_sort(threads.begin(), threads.end(), [](const auto& a, const auto& b) {
    return a.path.size() != b.path.size() && a.depth == b.depth ? a.path.size() < b.path.size()
                                                                : a.path < b.path;
  });
  std::vector<std::string> lines;
  for (const auto& thread : threads) {
    char head[64];
    std::snprintf(head, sizeof head, "%*s%-6s %-9s %5llu tokens  ",
                  2 * static_cast<int>(thread.depth), "", thread.path.c_str(),
                  std::string(to_string(thread.phase)).c_str(),
                  static_cast<unsigned long long>(thread.generated_tokens()));
    auto line = fit(head + says(thread), columns);
    lines.push_back(colours ? colour_of(thread) + line + "\033[0m" : line);
  }
  return lines;
}

tree_view::tree_view(bool quiet)
    : quiet_(quiet), terminal_(stderr_is_terminal()), colours_(banyan::colours(terminal_)) {}

tree_view::~tree_view() { erase(); }

void tree_view::erase() {
  if (drawn_ > 0) std::fprintf(stderr, "\033[%zuA\033[J", drawn_);
  drawn_ = 0;
}

void tree_view::draw(const std::vector<std::string>& lines) {
  for (const auto& line : lines) std::fprintf(stderr, "%s\n", line.c_str());
  std::fflush(stderr);
}

void tree_view::show(const tree& t) {
  if (quiet_ || !terminal_) return;
  const auto size = size_of_terminal(STDERR_FILENO);
  auto lines = tree_lines(t, colours_, size.columns);
  const auto room = static_cast<std::size_t>(std::max(size.rows - 2, 4));
  if (lines.size() > room) lines.resize(room);
  erase();
  draw(lines);
  drawn_ = lines.size();
}

void tree_view::finish(const tree& t) {
  erase();
  if (quiet_) return;
  draw(tree_lines(t, colours_, size_of_terminal(STDERR_FILENO).columns));
}

} // namespace banyan
