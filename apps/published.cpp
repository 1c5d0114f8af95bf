#include "apps/published.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"
#include "solver/grammar.hpp"
#include "solver/problems.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

constexpr auto remedy = "take a file that `banyan generate traces` or the reference wrote";

/// A solution as a path from the problem to its target, in the words of a trace.
std::string optimal_path(const problem& p, const std::vector<operation>& steps) {
  grammar::state at{p.target, p.numbers};
  std::vector<std::string> done;
  std::string path;
  for (const auto& step : steps) {
    path += "Current State: " + to_string(at) + ", Operations: " + grammar::to_string(done) + "\n";
    for (const auto used : {step.left, step.right})
      at.numbers.erase(std::ranges::find(at.numbers, used));
    at.numbers.push_back(step.result);
    done.push_back(to_string(step));
    path += "Exploring Operation: " + done.back()
            + ", Resulting Numbers: " + grammar::to_string(at.numbers) + "\n";
  }
  const auto target = std::to_string(p.target);
  return path + target + "," + target + " equal: Goal Reached\n";
}

json published_problem(const problem& p) {
  json j{{"nums", p.numbers}, {"target", p.target}};
  const auto steps = solve_exhaustively(p).value_or(std::vector<operation>{});
  json solution = json::array();
  for (const auto& step : steps) solution.push_back(to_string(step));
  j["solution"] = solution;
  j["optimal_path"] = steps.empty() ? "" : optimal_path(p, steps);
  j["start_size"] = p.numbers.size();
  return j;
}

/// A thread's texts at each of its stops, and the threads that each stop started.
json trace_dict(const tree& t, const thread_record& thread) {
  json main_calls = json::array(), sub_calls = json::array();
  std::string text;
  for (const auto& part : thread.segments) {
    if (part.kind != segment_kind::spawn) {
      text += part.text;
      continue;
    }
    main_calls.push_back(text + part.text);
    const auto round = static_cast<std::uint32_t>(sub_calls.size());
    sub_calls.push_back(json::array());
    for (const auto& child : t.threads)
      if (child.parent() == thread.path && child.round == round)
        sub_calls.back().push_back(trace_dict(t, child));
  }
  if (thread.segments.empty() || thread.segments.back().kind != segment_kind::spawn)
    main_calls.push_back(text);
  return {{"main_calls", main_calls}, {"sub_calls", sub_calls}};
}

std::string search_type(const search_options& o, int beam) {
  const auto number = std::to_string(beam);
  switch (o.kind) {
  case search_kind::apr: return "apr_" + number;
  case search_kind::sos_plus: return "sosp_" + number;
  case search_kind::sos_bfs: return "bfs_" + number;
  case search_kind::sos_dfs: return "dfs";
  }
  return {};
}

// ---- reading

segment part(segment_kind kind, std::string_view text) {
  segment s;
  s.kind = kind;
  s.text = text;
  return s;
}

std::string with_newline(std::string text) {
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

/// Splits a thread's stops into prompt, written text, spawn blocks and joins.
void read_stops(thread_record& thread, const std::vector<std::string>& stops,
                const std::string& where) {
  const auto end_of_join = std::string(grammar::end_join) + "\n";
  std::size_t known = 0; // of the text, in segments already
  for (std::size_t i = 0; i < stops.size(); ++i) {
    const auto text = with_newline(stops[i]);
    if (i == 0) {
      known = read_opening(text).size;
      if (known == 0) throw bad_usage(where, "a text does not begin with a state", remedy);
      thread.segments.push_back(part(segment_kind::prompt, text.substr(0, known)));
    } else {
      const auto end = text.find(end_of_join, known);
      if (end == text.npos || text.compare(0, known, with_newline(stops[i - 1]), 0, known) != 0)
        throw bad_usage(
            where, "main call " + std::to_string(i + 1) + " does not go on from the one before",
            remedy);
      const auto joined = end + end_of_join.size();
      thread.segments.push_back(part(segment_kind::joined, text.substr(known, joined - known)));
      known = joined;
    }
    const bool spawns = i + 1 < stops.size();
    const auto spawn = spawns ? text.find(grammar::begin_spawn, known) : text.size();
    if (spawn == text.npos) throw bad_usage(where, "a call stops without a spawn", remedy);
    thread.segments.push_back(part(segment_kind::written, text.substr(known, spawn - known)));
    known = spawn;
    if (spawns) thread.segments.push_back(part(segment_kind::spawn, text.substr(spawn)));
  }
}

void read_thread(tree& t, const std::string& path, const json& dict, const std::string& where) {
  const auto stops = dict.at("main_calls").get<std::vector<std::string>>();
  if (stops.empty()) throw bad_usage(where, "a thread has no text", remedy);
  auto& thread = *t.find(path);
  read_stops(thread, stops, where);
  thread.phase = thread_phase::done;
  const auto& rounds = dict.at("sub_calls");
  thread.rounds = static_cast<std::uint32_t>(rounds.size());
  std::uint32_t index = 0;
  for (std::uint32_t round = 0; round < rounds.size(); ++round)
    for (const auto& child : rounds[round]) {
      const auto name = child_path(path, index++);
      t.add(name).round = round;
      read_thread(t, name, child, where);
    }
}

tree tree_from(const json& j, const std::string& where) {
  try {
    tree t;
    t.problem.numbers = j.at("nums").get<std::vector<std::int64_t>>();
    t.problem.target = j.at("target").get<std::int64_t>();
    t.phase = tree_phase::done;
    t.outcome.solved = j.value("rating", 0.0) > 0;
    t.add("/");
    json serial{{"main_calls", json::array()}, {"sub_calls", json::array()}};
    if (!j.contains("trace_dict")) serial["main_calls"].push_back(j.at("search_path"));
    read_thread(t, "/", j.contains("trace_dict") ? j.at("trace_dict") : serial, where);
    t.prompt = t.root().segments.front().text;
    return t;
  } catch (const json::exception& e) {
    throw bad_usage(where, "not a demonstration: " + reason(e), remedy);
  }
}

} // namespace

std::string problem_json(const problem& p) { return published_problem(p).dump(); }

std::string trace_json(const tree& t, const search_options& o, std::uint64_t index) {
  const auto facts = facts_of(o, index);
  const auto dict = trace_dict(t, t.root());
  auto j = published_problem(t.problem);
  j["search_path"] = dict["main_calls"].back();
  j["rating"] = t.outcome.solved ? 1.0 : 0.0;
  j["search_type"] = search_type(o, facts.beam);
  j["heuristic"] = o.heuristic == heuristic::mult ? "mult_heuristic" : "sum_heuristic";
  if (o.kind != search_kind::apr) return j.dump();
  j["beam_size"] = facts.beam;
  j["sub_call_beam_size"] = facts.sub_beam;
  j["sub_call_count"] = t.threads.size() - 1;
  j["trace_dict"] = dict;
  return j.dump();
}

std::vector<tree> parse_traces(std::string_view text, const std::string& name) {
  std::vector<tree> trees;
  for_each_json(text, name, remedy, [&trees](const json& j, const std::string& where) {
    trees.push_back(tree_from(j, where));
  });
  return trees;
}

} // namespace banyan
