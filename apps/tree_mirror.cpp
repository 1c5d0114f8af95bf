#include "apps/tree_mirror.hpp"

#include "apps/time_text.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

template <class Value>
void get(const json& j, const char* name, Value& value) {
  const auto i = j.find(name);
  if (i == j.end()) return;
  if constexpr (std::is_same_v<Value, std::string>) {
    if (i->is_string()) value = i->get<std::string>();
  } else if constexpr (std::is_same_v<Value, bool>) {
    if (i->is_boolean()) value = i->get<bool>();
  } else {
    // A fraction, or one too large, is no count.
    if (std::is_floating_point_v<Value> ? i->is_number() : i->is_number_integer())
      value = i->get<Value>();
  }
}

void get(const json& j, const char* name, std::vector<std::string>& texts) {
  const auto i = j.find(name);
  if (i == j.end() || !i->is_array()) return;
  texts.clear();
  for (const auto& text : *i)
    if (text.is_string()) texts.push_back(text.get<std::string>());
}

void get_time(const json& j, const char* name, std::int64_t& ms) {
  std::string text;
  get(j, name, text);
  ms = parse_time(text).value_or(ms);
}

/// Enumerators from 0 on, by their names.
template <class Enum>
void get_name(const json& j, const char* name, Enum last, Enum& value) {
  std::string text;
  get(j, name, text);
  for (int i = 0; i <= static_cast<int>(last); ++i)
    if (to_string(static_cast<Enum>(i)) == text) value = static_cast<Enum>(i);
}

void get(const json& j, const char* name, errc& value) {
  std::string text;
  get(j, name, text);
  value = errc_from(text).value_or(value);
}

void get_problem(const json& j, problem& p) {
  const auto& given = object_field(j, "problem");
  get(given, "target", p.target);
  const auto numbers = given.find("numbers");
  if (numbers == given.end() || !numbers->is_array()) return;
  p.numbers.clear();
  for (const auto& n : *numbers)
    if (n.is_number()) p.numbers.push_back(n.get<std::int64_t>());
}

void get_outcome(const json& j, outcome& o) {
  const auto& given = object_field(j, "outcome");
  get(given, "solved", o.solved);
  get(given, "claimed", o.claimed);
  get(given, "operations", o.operations);
  get(given, "solution", o.solution);
}

segment whole_text(std::string text, std::uint64_t tokens) {
  // A count that makes no sense must not take all memory.
  const auto ids = static_cast<std::size_t>(std::min<std::uint64_t>(tokens, 1 << 24));
  return {segment_kind::written, std::move(text), std::vector<std::int32_t>(ids), {}, {}};
}

} // namespace

std::string text_field(const json& j, const char* name) {
  std::string text;
  if (j.is_object()) get(j, name, text);
  return text;
}

double number_field(const json& j, const char* name) {
  double number = 0;
  if (j.is_object()) get(j, name, number);
  return number;
}

bool flag_field(const json& j, const char* name) {
  bool flag = false;
  if (j.is_object()) get(j, name, flag);
  return flag;
}

const json& object_field(const json& j, const char* name) {
  static const json none = json::object();
  const auto i = j.is_object() ? j.find(name) : j.end();
  return i != j.end() && i->is_object() ? *i : none;
}

thread_record read_thread(const json& j) {
  thread_record t;
  if (!j.is_object()) return t;
  get(j, "path", t.path);
  get_name(j, "state", thread_phase::cancelled, t.phase);
  get(j, "failure", t.failure);
  get_time(j, "since", t.since_ms);
  get(j, "waiting_for", t.waiting_for);
  get(j, "pool", t.pool);
  get(j, "node", t.node);
  get(j, "depth", t.depth);
  get(j, "round", t.round);
  get(j, "awaited", t.awaited);
  get(j, "rounds", t.rounds);
  get(j, "prompt_tokens", t.prompt_tokens);
  std::uint64_t tokens = 0;
  get(j, "generated_tokens", tokens);
  std::string text, solution;
  get(j, "text", text);
  get(j, "solution", solution);
  // In lists the solution is left out; what is done has one.
  if (!solution.empty() || t.phase == thread_phase::done) t.solution = solution;
  t.segments.push_back(whole_text(std::move(text), tokens));
  const auto history = j.find("history");
  if (history == j.end() || !history->is_array()) return t;
  for (const auto& mark : *history) {
    if (!mark.is_object()) continue;
    phase_mark m;
    get_name(mark, "state", thread_phase::cancelled, m.phase);
    get_time(mark, "at", m.at_ms);
    t.history.push_back(m);
  }
  return t;
}

tree read_tree(const json& j) {
  tree t;
  if (!j.is_object()) return t;
  get(j, "id", t.id);
  get(j, "task", t.task);
  get_problem(j, t.problem);
  get(j, "prompt", t.prompt);
  get_name(j, "state", tree_phase::cancelled, t.phase);
  get(j, "failure", t.failure);
  get_outcome(j, t.outcome);
  get_time(j, "created", t.created_ms);
  get_time(j, "finished", t.finished_ms);
  get(j, "weights_epoch", t.weights_epoch);
  get(j, "seed", t.seed);
  t.wall_ms = read_usage(j).wall_ms;
  for (const auto& [name, value] : object_field(j, "labels").items())
    if (value.is_string()) t.labels[name] = value.get<std::string>();
  if (const auto threads = j.find("threads"); threads != j.end() && threads->is_array())
    for (const auto& thread : *threads) t.threads.push_back(read_thread(thread));
  return t;
}

tree_usage read_usage(const json& j) {
  tree_usage u;
  const auto& given = object_field(j, "usage");
  get(given, "threads", u.threads);
  get(given, "depth", u.depth);
  get(given, "rounds", u.rounds);
  get(given, "prompt_tokens", u.prompt_tokens);
  get(given, "generated_tokens", u.generated_tokens);
  get(given, "critical_path_tokens", u.critical_path_tokens);
  get(given, "cached_tokens", u.cached_tokens);
  get(given, "wall_ms", u.wall_ms);
  return u;
}

// ---- events

thread_record& tree_mirror::thread(const std::string& path) {
  if (auto* known = now_.value.find(path)) return *known;
  auto& fresh = now_.value.threads.emplace_back();
  fresh.path = path;
  fresh.depth = path == "/" ? 0 : static_cast<std::uint32_t>(std::ranges::count(path, '/'));
  fresh.segments.push_back(whole_text({}, 0));
  return fresh;
}

std::string tree_mirror::text_of(const std::string& path) const {
  const auto* known = now_.value.find(path);
  return known ? known->text() : std::string();
}

void tree_mirror::apply(std::string_view event, const json& data) {
  if (!data.is_object()) return;
  auto& t = now_.value;
  std::string path = "/";
  get(data, "thread", path);
  if (event == "tree" || event == "done") {
    get_name(data, "state", tree_phase::cancelled, t.phase);
    get(data, "failure", t.failure);
    get(data, "prompt", t.prompt);
    get_problem(data, t.problem);
    get_outcome(data, t.outcome);
  }
  if (event == "thread") enter(path, data);
  if (event == "spawn") {
    get(data, "children", thread(path).waiting_for);
    for (const auto& child : std::vector(thread(path).waiting_for)) thread(child);
  }
  if (event == "join") thread(path).waiting_for.clear();
  if (event == "spawn" || event == "text" || event == "join") write(path, data);
}

void tree_mirror::enter(const std::string& path, const json& data) {
  auto& t = thread(path);
  get_name(data, "state", thread_phase::cancelled, t.phase);
  get(data, "failure", t.failure);
  get(data, "depth", t.depth);
  get(data, "pool", t.pool);
  get(data, "waiting_for", t.waiting_for);
  get_time(data, "at", t.since_ms);
  std::uint64_t tokens = t.segments.front().ids.size();
  get(data, "tokens", tokens);
  t.segments.front() = whole_text(std::move(t.segments.front().text), tokens);
  now_.tokens[path] = tokens;
  if (t.phase == thread_phase::done) t.solution.emplace();
  if (!ended(t.phase) || path == "/") return;
  if (auto* parent = now_.value.find(t.parent())) std::erase(parent->waiting_for, path);
}

/// What follows the position is replaced.
void tree_mirror::write(const std::string& path, const json& data) {
  std::string text;
  std::uint64_t position = UINT64_MAX;
  get(data, "text", text);
  get(data, "position", position);
  auto& all = thread(path).segments.front().text;
  all.resize(static_cast<std::size_t>(std::min<std::uint64_t>(position, all.size())));
  all += text;
  get(data, "tokens", now_.tokens[path]);
}

} // namespace banyan
