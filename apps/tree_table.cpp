#include "apps/tree_table.hpp"

#include "apps/table.hpp"
#include "apps/terminal.hpp"

#include <cstdio>

namespace banyan {

namespace {

/// "214 ms", "9.3 s", "1:02:03": the time that it ran; "-" before its turn.
std::string time_of(double ms) {
  if (ms <= 0) return "-";
  char text[32];
  if (ms >= 60'000) return duration_text(ms / 1000);
  std::snprintf(text, sizeof text, ms < 1000 ? "%.0f ms" : "%.1f s", ms < 1000 ? ms : ms / 1000);
  return text;
}

std::string labels_of(const tree& t) {
  std::string text;
  for (const auto& [name, value] : t.labels) text += (text.empty() ? "" : ",") + name + "=" + value;
  return text;
}

/// "yes", "no: deadline", or "-" while nobody can say.
std::string solved_text(const tree& t) {
  if (t.outcome.solved) return "yes";
  if (t.phase < tree_phase::done) return "-";
  if (t.failure == errc::none || t.failure == errc::no_solution) return "no";
  return "no: " + std::string(to_string(t.failure));
}

} // namespace

std::vector<std::string> tree_table(const std::vector<listed_tree>& trees, int characters) {
  table rows({{.title = "ID", .least = 8},
              {.title = "STATE", .worth = 4},
              {.title = "PROBLEM", .worth = 3},
              {.title = "THREADS", .right = true},
              {.title = "TOKENS", .right = true},
              {.title = "TIME", .right = true},
              {.title = "SOLVED", .worth = 2},
              {.title = "LABELS", .worth = 1}});
  for (const auto& [t, usage] : trees)
    rows.add({t.id, std::string(to_string(t.phase)), to_string(t.problem),
              std::to_string(usage.threads), std::to_string(usage.generated_tokens),
              time_of(usage.wall_ms), solved_text(t), labels_of(t)});
  return rows.lines(characters);
}

} // namespace banyan
