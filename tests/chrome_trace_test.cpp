#include "apps/chrome_trace.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using nlohmann::json;

constexpr std::int64_t begin_ms = 1795426200000;

/// A root that waited from 100 to 400 ms for two children, of which the second was not waited for,
/// and a third that was refused.
tree spawning_tree() {
  tree t;
  t.id = "01J9";
  t.problem = {{25, 7, 3}, 54};
  t.phase = tree_phase::done;
  t.created_ms = begin_ms;
  t.finished_ms = begin_ms + 500;
  const auto live = [](thread_record& thread, thread_phase last,
                       const std::vector<std::pair<thread_phase, int>>& marks) {
    for (const auto& [phase, at] : marks) thread.history.push_back({phase, begin_ms + at});
    thread.phase = last;
    thread.since_ms = thread.history.back().at_ms;
    thread.pool = "cpu:0";
    thread.segments = {{segment_kind::written, "text", {1, 2, 3}, {}, {}}};
  };
  using enum thread_phase;
  live(t.add("/"), done, {{decoding, 0}, {waiting, 100}, {decoding, 400}, {done, 500}});
  live(t.add("/0"), done, {{queued, 110}, {decoding, 150}, {done, 390}});
  live(t.add("/1"), cancelled, {{decoding, 110}, {cancelled, 410}});
  t.threads.back().awaited = false;
  auto& refused = t.add("/2");
  refused.phase = failed;
  refused.failure = errc::budget_spent;
  refused.since_ms = begin_ms + 100;
  return t;
}

struct traced {
  json all;
  explicit traced(const std::vector<tree>& trees) {
    std::string text = chrome_trace_begin;
    for (std::size_t i = 0; i < trees.size(); ++i)
      text += (i > 0 ? ",\n" : "") + chrome_trace_events(trees[i], i + 1);
    all = json::parse(text + chrome_trace_end);
  }

  std::vector<json> events(const std::string& phase, const std::string& name = {}) const {
    std::vector<json> found;
    for (const auto& e : all["traceEvents"])
      if (e["ph"] == phase && (name.empty() || e["name"] == name)) found.push_back(e);
    return found;
  }

  /// The track that has this name.
  json tid(const std::string& path) const {
    for (const auto& e : events("M", "thread_name"))
      if (e["args"]["name"] == path) return e["tid"];
    return nullptr;
  }

  /// The deepest slice of an event's track that holds it.
  bool lies_in_a_slice(const json& event) const {
    return std::ranges::any_of(events("X"), [&](const json& s) {
      const auto begin = s["ts"].get<std::int64_t>(), at = event["ts"].get<std::int64_t>();
      return s["pid"] == event["pid"] && s["tid"] == event["tid"] && begin <= at
             && at < begin + s["dur"].get<std::int64_t>();
    });
  }
};

TEST_CASE("every event of a trace has what the format asks for", "[apps]") {
  const traced trace({spawning_tree()});
  CHECK(trace.all["displayTimeUnit"] == "ms");
  for (const auto& e : trace.all["traceEvents"]) {
    INFO(e.dump());
    CHECK(e["pid"] == 1);
    CHECK(e["tid"].is_number_integer());
    const auto phase = e["ph"].get<std::string>();
    CHECK(std::string("MXisf").find(phase) != std::string::npos);
    CHECK(e["name"].is_string());
    if (phase == "M") continue;
    CHECK(e["ts"].is_number_integer());
    if (phase == "X") CHECK(e["dur"].get<std::int64_t>() > 0);
  }
}

TEST_CASE("a thread is a track with its life and its states in it", "[apps]") {
  const traced trace({spawning_tree()});
  const auto life = trace.events("X", "/");
  REQUIRE(life.size() == 1);
  CHECK(life[0]["ts"] == 1000 * begin_ms);
  CHECK(life[0]["dur"] == 500'000);
  CHECK(life[0]["args"]["generated_tokens"] == 3);
  std::vector<std::string> states;
  for (const auto& s : trace.events("X"))
    if (s["tid"] == trace.tid("/") && s["name"] != "/") states.push_back(s["name"]);
  CHECK(states == std::vector<std::string>{"decoding", "waiting", "decoding"});
  const auto waiting = trace.events("X", "waiting");
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0]["ts"] == 1000 * (begin_ms + 100));
  CHECK(waiting[0]["dur"] == 300'000);
  CHECK(trace.events("X", "queued").size() == 1);
}

TEST_CASE("slices of a track lie beside or inside each other", "[apps]") {
  const traced trace({spawning_tree()});
  const auto slices = trace.events("X");
  for (const auto& a : slices)
    for (const auto& b : slices) {
      if (a["tid"] != b["tid"]) continue;
      const auto a1 = a["ts"].get<std::int64_t>(), a2 = a1 + a["dur"].get<std::int64_t>();
      const auto b1 = b["ts"].get<std::int64_t>(), b2 = b1 + b["dur"].get<std::int64_t>();
      CHECK_FALSE((a1 < b1 && b1 < a2 && a2 < b2));
    }
}

TEST_CASE("arrows lead from a spawn to its children and back where the join waited", "[apps]") {
  const traced trace({spawning_tree()});
  std::map<std::uint64_t, std::vector<json>> arrows;
  for (const auto& phase : {"s", "f"})
    for (const auto& e : trace.events(phase)) {
      CHECK(trace.lies_in_a_slice(e));
      arrows[e["id"].get<std::uint64_t>()].push_back(e);
    }
  std::vector<std::string> ways;
  for (const auto& [id, ends] : arrows) {
    REQUIRE(ends.size() == 2);
    CHECK(ends[0]["ts"] <= ends[1]["ts"]);
    CHECK(ends[1]["bp"] == "e");
    ways.push_back(ends[0]["name"].get<std::string>() + " " + ends[0]["tid"].dump() + ">"
                   + ends[1]["tid"].dump());
  }
  CHECK(ways == std::vector<std::string>{"spawn 1>2", "spawn 1>3", "join 2>1"});
}

TEST_CASE("a refused child is a mark on its parent's track", "[apps]") {
  const traced trace({spawning_tree()});
  const auto marks = trace.events("i");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0]["name"] == "refused /2");
  CHECK(marks[0]["tid"] == trace.tid("/"));
  CHECK(trace.tid("/2").is_null());
}

TEST_CASE("of a thread without a history only its last state is drawn", "[apps]") {
  auto t = spawning_tree();
  for (auto& thread : t.threads) thread.history.clear();
  const traced trace({t});
  CHECK(trace.events("X").empty());
  CHECK(trace.events("s").empty());
  CHECK(trace.events("i").size() == 4);
}

TEST_CASE("an unfinished thread goes on to the latest time that is known", "[apps]") {
  auto t = spawning_tree();
  t.finished_ms = 0;
  auto& root = t.threads[0];
  root.phase = thread_phase::waiting;
  root.history.resize(2);
  root.since_ms = root.history.back().at_ms;
  const auto life = traced({t}).events("X", "/");
  REQUIRE(life.size() == 1);
  CHECK(life[0]["dur"] == 410'000); // when /1 was cancelled
}

TEST_CASE("what took less than a millisecond harms no trace", "[apps]") {
  auto t = spawning_tree();
  for (auto& thread : t.threads) {
    for (auto& mark : thread.history) mark.at_ms = begin_ms;
    thread.since_ms = begin_ms;
  }
  t.finished_ms = begin_ms;
  const traced trace({t});
  for (const auto& s : trace.events("X")) CHECK(s["dur"] == 1);
  for (const auto& e : trace.events("f")) CHECK(trace.lies_in_a_slice(e));
}

TEST_CASE("a join is drawn where its parent goes on and not where the daemon went", "[apps]") {
  auto t = spawning_tree();
  using enum thread_phase;
  t.threads[0].history = {{decoding, begin_ms},       {waiting, begin_ms + 100},
                          {queued, begin_ms + 390},   {waiting, begin_ms + 395},
                          {decoding, begin_ms + 400}, {done, begin_ms + 500}};
  const traced drawn({t});
  const auto join = drawn.events("f", "join");
  REQUIRE(join.size() == 1);
  CHECK(join[0]["ts"] == 1000 * (begin_ms + 400));
  CHECK(drawn.events("X", "queued").size() == 2); // of "/0" as before
}

TEST_CASE("each tree is a process of its own and arrows do not meet", "[apps]") {
  const traced trace({spawning_tree(), spawning_tree()});
  CHECK(trace.events("M", "process_name").size() == 2);
  std::map<json, int> ids;
  for (const auto& e : trace.events("s")) ++ids[e["id"]];
  CHECK(ids.size() == 6);
}

} // namespace
} // namespace banyan
