#include "apps/json.hpp"

#include "apps/json_parts.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

json of(const tree_usage& u) {
  return {{"threads", u.threads},
          {"depth", u.depth},
          {"rounds", u.rounds},
          {"prompt_tokens", u.prompt_tokens},
          {"generated_tokens", u.generated_tokens},
          {"critical_path_tokens", u.critical_path_tokens},
          {"cached_tokens", u.cached_tokens},
          {"wall_ms", u.wall_ms}};
}

} // namespace

// ---- parts

std::string json_line(const json& j) {
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

json text_or_null(const std::string& text) { return text.empty() ? json() : json(text); }
json name_or_null(errc e) { return e == errc::none ? json() : json(to_string(e)); }
json time_or_null(std::int64_t unix_ms) { return unix_ms == 0 ? json() : json(time_text(unix_ms)); }

json problem_parts(const problem& p) { return {{"numbers", p.numbers}, {"target", p.target}}; }

json outcome_parts(const outcome& o) {
  return {{"solved", o.solved},
          {"claimed", o.claimed},
          {"operations", o.operations},
          {"solution", text_or_null(o.solution)}};
}

json thread_parts(const thread_record& t, bool texts) {
  json j{{"path", t.path},
         {"parent", text_or_null(t.parent())},
         {"state", to_string(t.phase)},
         {"since", time_or_null(t.since_ms)},
         {"waiting_for", t.waiting_for},
         {"pool", t.pool},
         {"node", t.node},
         {"depth", t.depth},
         {"prompt_tokens", t.prompt_tokens},
         {"generated_tokens", t.generated_tokens()},
         {"rounds", t.rounds},
         {"failure", name_or_null(t.failure)},
         {"history", json::array()}};
  for (const auto& mark : t.history)
    j["history"].push_back({{"state", to_string(mark.phase)}, {"at", time_text(mark.at_ms)}});
  if (!texts) return j;
  j["text"] = t.text();
  j["solution"] = t.solution ? json(*t.solution) : json();
  return j;
}

json tree_parts(const tree& t) {
  return {{"id", t.id},
          {"task", t.task},
          {"state", to_string(t.phase)},
          {"problem", problem_parts(t.problem)},
          {"prompt", t.prompt},
          {"labels", t.labels},
          {"created", time_or_null(t.created_ms)},
          {"finished", time_or_null(t.finished_ms)},
          {"outcome", t.finished_ms == 0 ? json() : outcome_parts(t.outcome)},
          {"failure", name_or_null(t.failure)},
          {"weights_epoch", t.weights_epoch},
          {"seed", t.seed},
          {"usage", of(t.usage())}};
}

// ---- whole objects

std::string solve_json(const tree& t) {
  json j{{"problem", problem_parts(t.problem)}};
  j.update(outcome_parts(t.outcome));
  j["failure"] = name_or_null(t.failure);
  j["usage"] = of(t.usage());
  return json_line(j);
}

std::string result_json(const tree& t, std::size_t sample) {
  json j{{"problem", problem_parts(t.problem)},
         {"sample", sample},
         {"seed", t.seed},
         {"solved", t.outcome.solved},
         {"claimed", t.outcome.claimed},
         {"operations", t.outcome.operations},
         {"failure", name_or_null(t.failure)},
         {"usage", of(t.usage())}};
  j["usage"]["wasted_tokens"] = t.wasted_tokens();
  j["usage"]["longest_context"] = t.longest_context();
  return json_line(j);
}

std::string tree_json(const tree& t, bool texts) {
  auto j = tree_parts(t);
  j["threads"] = json::array();
  for (const auto& thread : t.threads) j["threads"].push_back(thread_parts(thread, texts));
  return json_line(j);
}

} // namespace banyan
