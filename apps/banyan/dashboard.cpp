#include "apps/banyan/dashboard.hpp"

#include "apps/table.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace banyan {

namespace {

using json = client::json;

constexpr std::size_t most_trees = 100; ///< as many as somebody may look through
constexpr int bar_columns = 20;

std::string whole(double n) { return std::to_string(std::llround(n)); }

std::string percent(double part, double of) {
  return of > 0 ? whole(100 * std::min(part / of, 1.0)) + " %" : "-";
}

const json& pools_of(const json& status) {
  static const json none = json::array();
  const auto i = status.find("pools");
  return i != status.end() && i->is_array() ? *i : none;
}

/// The same pool at another time; an empty object if it was not there.
const json& pool_before(const reading* before, const json& pool) {
  static const json none = json::object();
  if (!before) return none;
  for (const auto& p : pools_of(before->status))
    if (text_field(p, "name") == text_field(pool, "name")
        && text_field(p, "node") == text_field(pool, "node"))
      return p;
  return none;
}

/// How much a count has grown; a daemon that began anew counts from 0.
double growth(const json& now, const json& before, const char* name) {
  return std::max(0.0, number_field(now, name) - number_field(before, name));
}

/// "[####++==....]": in use, kept for threads that wait, findable by others, free.
std::string cache_bar(const json& blocks) {
  const auto total = number_field(blocks, "total");
  const auto free = number_field(blocks, "free"), leased = number_field(blocks, "leased"),
             cached = number_field(blocks, "cached");
  if (total <= 0) return "-";
  std::string text;
  double sum = 0;
  for (const auto& [mark, count] : {std::pair{'#', total - free - cached - leased},
                                    std::pair{'+', leased}, std::pair{'=', cached}}) {
    sum += std::max(0.0, count);
    const auto until = std::clamp<long>(std::lround(bar_columns * sum / total), 0, bar_columns);
    text.resize(std::max(text.size(), static_cast<std::size_t>(until)), mark);
  }
  text.resize(bar_columns, '.');
  return "[" + text + "] " + short_number(total - free) + " of " + short_number(total);
}

std::string name_of(const json& pool) {
  const auto node = text_field(pool, "node"), name = text_field(pool, "name");
  return node.empty() || node == "local" ? name : node + "/" + name;
}

std::vector<std::string> pool_lines(const reading& now, const reading* before, int columns) {
  table rows({{"POOL"},
              {"QUEUE", true},
              {"BATCH", true},
              {"TOKENS/S", true},
              {.title = "CACHE (# used, + leased, = cached)", .worth = 1},
              {"HITS", true},
              {"BUSY", true}});
  for (const auto& pool : pools_of(now.status)) {
    const auto& was = pool_before(before, pool);
    const bool known = !was.empty();
    const std::chrono::duration<double> time = known ? now.at - before->at : now.at - now.at;
    // Between two looks nothing may have been asked for: then what holds is how it went so far.
    const bool asked = known && growth(pool, was, "prompt_tokens") > 0;
    const auto& from = asked ? was : json::object();
    rows.add({name_of(pool), whole(number_field(pool, "queued")),
              whole(number_field(pool, "running")),
              known ? short_number(growth(pool, was, "generated_tokens") / time.count()) : "-",
              cache_bar(object_field(pool, "blocks")),
              percent(growth(pool, from, "cached_tokens"), growth(pool, from, "prompt_tokens")),
              known ? percent(growth(pool, was, "busy_s"), time.count()) : "-"});
  }
  return rows.lines(columns);
}

/// Of all pools since the daemon began: what its trees have is counted when they are finished.
double generated(const json& status) {
  double sum = 0;
  for (const auto& pool : pools_of(status)) sum += number_field(pool, "generated_tokens");
  return sum;
}

std::string tokens_text(const reading& now, const reading* before) {
  auto text = short_number(generated(now.status)) + " tokens";
  if (!before) return text;
  const std::chrono::duration<double> time = now.at - before->at;
  const auto more = std::max(0.0, generated(now.status) - generated(before->status));
  return text + ", " + short_number(more / time.count()) + " tokens/s";
}

std::string thread_counts(const json& status) {
  std::string text;
  for (const auto& [state, n] : object_field(status, "threads").items())
    if (n.is_number() && n.get<double>() > 0)
      text += (text.empty() ? "" : ", ") + whole(n.get<double>()) + " " + state;
  return text.empty() ? "none" : text;
}

} // namespace

reading read_daemon(client& daemon) {
  reading now;
  now.status = daemon.get("/v1/status");
  now.at = std::chrono::steady_clock::now();
  tree_filter live;
  live.states = live_phases;
  list_state_by_state(daemon, live, most_trees, [&now](json&& t) {
    now.trees.push_back({read_tree(t), read_usage(t)});
    now.told.push_back(std::move(t));
  });
  std::ranges::stable_sort(now.trees, std::greater{}, [](const listed_tree& t) {
    return std::tuple(t.value.phase != tree_phase::queued, t.usage.threads,
                      t.usage.generated_tokens);
  });
  return now;
}

std::vector<std::string> overview(const reading& now, const reading* before, const std::string& url,
                                  int columns) {
  const auto& s = now.status;
  const auto& trees = object_field(s, "trees");
  const auto number = [&trees](const char* name) {
    return whole(number_field(trees, name)) + " " + name;
  };
  // The store has trees of earlier daemons, too; the counts begin with this one.
  const auto kept = whole(number_field(object_field(s, "store"), "finished"));
  const auto since_start = whole(number_field(trees, "finished"));
  const auto* state = flag_field(s, "draining") ? "draining"
                      : flag_field(s, "ready")  ? "ready"
                                                : "not ready";
  std::vector<std::string> lines{
      printable("banyan " + text_field(s, "version") + " at " + url) + ", " + state + ", up "
          + duration_text(number_field(s, "uptime_s")),
      "trees    " + number("running") + ", " + number("queued") + ", " + number("paused") + ", "
          + kept + " finished, " + since_start + " since start: " + number("solved") + ", "
          + number("failed") + ", " + number("cancelled"),
      "threads  " + printable(thread_counts(s)) + "; " + tokens_text(now, before), ""};
  for (auto& line : pool_lines(now, before, columns)) lines.push_back(std::move(line));
  for (auto& line : lines) line = fit(line, columns);
  return lines;
}

} // namespace banyan
