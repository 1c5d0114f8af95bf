#include "apps/tree_table.hpp"

#include "apps/table.hpp"
#include "apps/terminal.hpp"

#include <cstdio>

namespace banyan {

namespace {

/// "214 ms", "9.3 s", "1:02:03".
std::string time_of(const tree& t, std::int64_t now_ms) {
  const bool is_live = t.finished_ms == 0;
  const auto ms =
      !is_live && t.wall_ms > 0
          ? t.wall_ms
          : std::max(0.0, static_cast<double>((is_live ? now_ms : t.finished_ms) - t.created_ms));
  if (t.created_ms == 0) return "-";
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

std::vector<std::string> tree_table(const std::vector<listed_tree>& trees, std::int64_t now_ms) {
  table rows({{"ID"},
              {"STATE"},
              {"PROBLEM"},
              {"THREADS", true},
              {"TOKENS", true},
              {"TIME", true},
              {"SOLVED"},
              {"LABELS"}});
  for (const auto& [t, usage] : trees)
    rows.add({t.id, std::string(to_string(t.phase)), to_string(t.problem),
              std::to_string(usage.threads), std::to_string(usage.generated_tokens),
              time_of(t, now_ms), solved_text(t), labels_of(t)});
  return rows.lines();
}

} // namespace banyan
