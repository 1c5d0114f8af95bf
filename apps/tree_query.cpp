#include "apps/tree_query.hpp"

#include "apps/time_text.hpp"
#include "apps/tree_mirror.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = client::json;

/// "90s", "30m", "2h", "7d" in milliseconds.
std::optional<std::int64_t> read_span(std::string_view text) {
  constexpr std::pair<char, double> units[]{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  double number = 0;
  if (text.empty() || !read_number(text.substr(0, text.size() - 1), number)) return {};
  for (const auto& [letter, seconds] : units)
    if (text.back() == letter && number >= 0 && number < 1e6)
      return static_cast<std::int64_t>(1000 * seconds * number);
  return {};
}

std::optional<std::int64_t> read_point(const char* option, const std::string& text,
                                       std::int64_t now_ms) {
  if (text.empty()) return {};
  if (const auto span = read_span(text)) return std::max<std::int64_t>(0, now_ms - *span);
  if (const auto time = parse_time(text)) return *time;
  if (const auto day = parse_time(text + "T00:00:00Z")) return *day;
  throw bad_usage(
      option, "'" + text + "' does not fit",
      "give a time as 2026-11-22T09:30:00Z or 2026-11-22, or how long ago, as 90s, 30m, "
      "2h or 7d");
}

using url_fields = std::vector<std::pair<std::string, std::string>>;

url_fields fields_of(const tree_filter& f) {
  url_fields fields;
  for (const auto& [name, value] : f.labels) fields.emplace_back("label", name + "=" + value);
  if (f.solved) fields.emplace_back("solved", *f.solved ? "true" : "false");
  if (f.created_from_ms > 0)
    fields.emplace_back("created_after", time_text(f.created_from_ms - 1)); // the API excludes it
  if (f.created_before_ms) fields.emplace_back("created_before", time_text(*f.created_before_ms));
  return fields;
}

/// The id behind which a list goes on; empty at its end.
std::string next_of(const json& j, const char* name) {
  const auto i = j.find(name);
  return i != j.end() && i->is_string() ? i->get<std::string>() : std::string();
}

/// Where requests are rationed it takes its time.
json asked(client& daemon, const std::string& path) {
  return daemon.when_there_is_room([&] { return daemon.get(path); });
}

bool list_pages(client& daemon, const url_fields& fields, std::size_t page, std::size_t most,
                const std::function<void(json&&)>& take,
                const std::function<void(const std::string&)>& damaged) {
  std::string after;
  for (std::size_t left = most;;) {
    auto wish = fields;
    wish.emplace_back("limit", std::to_string(std::clamp<std::size_t>(left, 1, page)));
    wish.emplace_back("after", after);
    auto answer = asked(daemon, "/v1/trees" + query(wish));
    if (const auto lost = answer.find("damaged"); damaged && lost != answer.end())
      for (const auto& id : *lost)
        if (id.is_string()) damaged(id.get<std::string>());
    auto& trees = answer["trees"];
    for (auto& t : trees) {
      if (left == 0) return true;
      --left;
      take(std::move(t));
    }
    after = next_of(answer, "next");
    if (after.empty() || trees.empty()) return false;
    if (left == 0) return true;
  }
}

std::optional<tree_phase> read_phase(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(tree_phase::cancelled); ++i)
    if (to_string(static_cast<tree_phase>(i)) == name) return static_cast<tree_phase>(i);
  return {};
}

/// "running,queued"
bool read_phases(std::string_view names, std::vector<tree_phase>& into) {
  for (std::size_t begin = 0; begin <= names.size();) {
    const auto end = std::min(names.find(',', begin), names.size());
    const auto phase = read_phase(names.substr(begin, end - begin));
    if (!phase) return false;
    into.push_back(*phase);
    begin = end + 1;
  }
  return true;
}

} // namespace

void declare(option_list& list, tree_query& q) {
  list.group("Which trees");
  option states{"state", "STATE,...", "queued, running, paused, done, failed or cancelled",
                "queued, running, paused, done, failed or cancelled"};
  states.is_list = true;
  states.read = [&q](const std::string& text) { return read_phases(text, q.states); };
  states.write = [&q] {
    std::vector<std::string> texts;
    for (const auto s : q.states) texts.emplace_back(to_string(s));
    return texts;
  };
  list.add(std::move(states));
  list.texts("label", q.labels, "NAME=VALUE", "with this label; all of those given");
  list.flag("solved", q.solved, "with a verified solution; --solved=false: without one");
}

void declare_times(option_list& list, tree_query& q) {
  list.text("since", q.since, "TIME",
            "created then or later: 2026-11-22T09:30:00Z, 2026-11-22, 2h");
  list.text("until", q.until, "TIME", "created before then");
}

std::multimap<std::string, std::string> read_labels(const std::vector<std::string>& texts,
                                                    const std::string& option) {
  std::multimap<std::string, std::string> labels;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == text.npos || equals == 0)
      throw bad_usage(option, "'" + text + "' does not fit", "give NAME=VALUE, as in run=a");
    labels.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return labels;
}

tree_filter tree_query::filter(const option_list& given, std::int64_t now_ms) const {
  tree_filter f;
  f.states = states;
  f.labels = read_labels(labels, "--label");
  if (given.given("solved")) f.solved = solved;
  f.created_from_ms = read_point("--since", since, now_ms).value_or(0);
  f.created_before_ms = read_point("--until", until, now_ms);
  return f;
}

bool list_trees(client& daemon, const tree_filter& f, std::size_t most,
                const std::function<void(json&&)>& take,
                const std::function<void(const std::string&)>& damaged) {
  auto fields = fields_of(f);
  std::string states;
  for (const auto s : f.states) (states += states.empty() ? "" : ",") += to_string(s);
  if (!states.empty()) fields.emplace_back("state", states);
  return list_pages(daemon, fields, f.limit, most, take, damaged);
}

bool list_state_by_state(client& daemon, tree_filter f, std::size_t most,
                         const std::function<void(json&&)>& take,
                         const std::function<void(const std::string&)>& damaged) {
  bool more = false;
  for (const auto state : std::exchange(f.states, {})) {
    f.states = {state};
    more |= list_trees(
        daemon, f, most,
        [&](json&& t) {
          --most;
          take(std::move(t));
        },
        damaged);
  }
  return more;
}

json whole_tree(client& daemon, const std::string& id) {
  auto whole = asked(daemon, tree_path(id));
  while (true) {
    const auto after = next_of(whole, "threads_next");
    whole.erase("threads_next");
    if (after.empty()) return whole;
    auto more = asked(daemon, tree_path(id) + query({{"threads_after", after}}));
    if (!more.contains("threads") || more["threads"].empty()) return whole;
    for (auto& thread : more["threads"]) whole["threads"].push_back(std::move(thread));
    whole["threads_next"] = next_of(more, "threads_next");
  }
}

} // namespace banyan
