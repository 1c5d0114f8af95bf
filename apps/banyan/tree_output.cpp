#include "apps/banyan/tree_output.hpp"

#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_view.hpp"

#include <algorithm>
#include <climits>
#include <cmath>

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

std::string count(double n, const char* noun) {
  return counted(static_cast<std::uint64_t>(std::llround(std::max(n, 0.0))), noun);
}

std::string pool_of(const thread_record& t) {
  if (t.pool.empty()) return "none";
  return t.node.empty() ? t.pool : t.pool + " on " + t.node;
}

/// Of what has a limit; a limit that is null is none.
std::string budget_text(const json& left) {
  std::string text;
  for (const auto* name : {"tokens", "rounds", "seconds"}) {
    const auto i = left.find(name);
    if (i == left.end() || !i->is_number()) continue;
    const std::string noun(name, std::string_view(name).size() - 1);
    text += (text.empty() ? "" : ", ") + count(i->get<double>(), noun.c_str());
  }
  return text.empty() ? "no limit" : text;
}

} // namespace

void print_json(const json& j) {
  print(j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

std::string shown_text(const std::string& text) {
  return harmless(text.empty() || text.ends_with('\n') ? text : text + "\n");
}

std::string harmless(const std::string& text) {
  return stdout_is_terminal() ? printable_lines(text) : text;
}

void print_tree(const json& j) {
  const auto t = read_tree(j);
  const bool terminal = stdout_is_terminal();
  const auto columns = terminal ? size_of_terminal(STDOUT_FILENO).columns : INT_MAX;
  auto text = title(t) + "\n";
  for (const auto& [name, value] : t.labels) text += "  " + printable(name + "=" + value) + "\n";
  for (const auto& line : tree_lines(t, {}, colours(terminal), columns)) text += line + "\n";
  if (t.phase >= tree_phase::done) text += printable(outcome_text(t)) + "\n";
  print(text + "  " + figures(read_usage(j)) + "\n");
}

void print_texts(const json& j) {
  for (const auto& thread : read_tree(j).threads)
    print("\n==> " + printable(thread.path) + " <==\n" + shown_text(thread.text()));
}

void print_thread(const json& j) {
  const auto t = read_thread(j);
  std::string text = printable(t.path) + "  " + std::string(to_string(t.phase));
  if (t.failure != errc::none) text += ": " + std::string(to_string(t.failure));
  if (t.since_ms != 0) text += " since " + text_field(j, "since");
  text += "\n  pool         " + printable(pool_of(t)) + "\n  tokens       "
          + counted(t.generated_tokens(), "token") + " generated, "
          + std::to_string(t.prompt_tokens) + " of prompts, " + counted(t.rounds, "round") + "\n";
  if (!t.waiting_for.empty()) text += "  waits for   ";
  for (const auto& child : t.waiting_for) text += " " + printable(child);
  if (!t.waiting_for.empty()) text += "\n";
  if (flag_field(j, "live")) {
    const auto& cache = object_field(j, "cache");
    text += "  cache        " + count(number_field(cache, "blocks"), "block")
            + (flag_field(cache, "leased") ? ", leased" : "") + "\n  budget left  "
            + budget_text(object_field(j, "budget_left")) + "\n";
  }
  print(text + "\n" + shown_text(t.text()));
}

} // namespace banyan
