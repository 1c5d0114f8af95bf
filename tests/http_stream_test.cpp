#include "actors/config.hpp"
#include "apps/time_text.hpp"
#include "tests/streamed.hpp"

#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>

namespace banyan {
namespace {

using kind = tree_event::kind;
using strings = std::vector<std::string>;

/// A root that asked two children, of which the second one was asked in turn; all but the root's
/// end.
tree grown_tree(const std::string& id) {
  auto t = fake_forest::running_tree(id);
  auto& root = t.threads[0];
  root.segments.push_back(
      {segment_kind::spawn, "x<Calling Sub Searches>\n", {6, 7}, {-1, -1}, {0, 0}});
  root.segments.push_back({segment_kind::joined, "x<Sub Searches>\n", {8}, {}, {}});
  root.segments.push_back({segment_kind::written, "end\n", {9}, {-1}, {0}});
  root.rounds = 1;
  root.history.push_back({thread_phase::waiting, 1795339800250});
  root.history.push_back({thread_phase::decoding, 1795339800300});
  for (const auto* path : {"/0", "/1", "/1/0"}) {
    auto& child = t.add(path);
    child.segments = {{segment_kind::prompt, std::string("at ") + path + "\n", {1}, {}, {}}};
  }
  auto& middle = *t.find("/1");
  middle.segments.push_back({segment_kind::written, "", {}, {}, {}});
  middle.segments.push_back({segment_kind::spawn, "<Calling Sub Searches>\n", {2}, {-1}, {0}});
  middle.rounds = 1;
  return t;
}

/// "text / 0 Moving…" of each event.
std::vector<std::string> outline_of(const std::vector<sent_event>& events) {
  std::vector<std::string> lines;
  for (const auto& e : events) {
    auto line = e.name;
    if (e.name != "tree" && e.name != "done") line += ' ' + e.data.at("thread").get<std::string>();
    if (e.data.contains("text"))
      line += ' ' + std::to_string(e.data.at("position").get<int>()) + ' '
              + e.data.at("text").get<std::string>();
    lines.push_back(line);
  }
  return lines;
}

void read_snapshot(event_reader& stream) {
  for (const auto* name : {"tree", "thread", "text"}) CHECK(stream.event().name == name);
}

// ---- one tree

TEST_CASE("a stream begins with the tree as it is", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  t.add("/0").phase = thread_phase::queued;
  s.trees.put(t);
  const auto before = unix_ms_now();
  event_reader stream(s, "/v1/trees/A/events");
  CHECK(stream.head.status == 200);
  CHECK(stream.head.header("content-type").starts_with("text/event-stream"));
  CHECK(stream.head.header("cache-control") == "no-store");
  const auto tree = stream.event();
  CHECK(tree.name == "tree");
  const auto looked = tree.data.at("at").get<std::string>();
  CHECK(looked >= time_text(before));
  CHECK(looked <= time_text(unix_ms_now()));
  CHECK(tree.data == json::parse(R"({"tree": "A", "thread": "/", "parent": null, "position": 0,
             "at": ")" + looked + R"(", "state": "running", "prompt": "Moving to Node #0\n",
             "problem": {"numbers": [5, 50, 79, 27], "target": 62}})"));
  CHECK(stream.event().data
        == json::parse(R"({"tree": "A", "thread": "/", "parent": null, "position": 0,
             "at": "2026-11-22T09:30:00.200Z", "state": "decoding", "tokens": 3, "failure": null, "depth": 0, "pool": "cpu:0"})"));
  const auto text = stream.event();
  CHECK(text.name == "text");
  CHECK(text.data.at("text") == "Moving to Node #0\nso far\n");
  CHECK(text.data.at("at") == looked);
  const auto child = stream.event();
  CHECK(child.name == "thread");
  CHECK(child.data.at("thread") == "/0");
  CHECK(child.data.at("parent") == "/");
  CHECK(stream.event().name == "text");
}

TEST_CASE("live events follow with all that they carry", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/trees/A/events");
  read_snapshot(stream);
  auto state = event_of(kind::thread, "A", "/0");
  state.state = "failed";
  state.at_ms = 1795339801001;
  state.failure = errc::context_full;
  state.tokens = 9;
  s.trees.hub.publish(state);
  auto spawn = event_of(kind::spawn, "A");
  spawn.position = 40;
  spawn.at_ms = 1795339801002;
  spawn.text = "<Calling Sub Searches>\n";
  spawn.children = {"/0", "/1"};
  s.trees.hub.publish(spawn);
  s.trees.hub.publish(text_of("B", "of another tree"));
  s.trees.hub.publish(text_of("A", "more\n", 18));
  auto join = event_of(kind::join, "A");
  join.text = "<Sub Searches>\n";
  s.trees.hub.publish(join);

  auto e = stream.event();
  CHECK(e.name == "thread");
  CHECK(number_of(e) == 1);
  CHECK(e.data == json::parse(R"({"tree": "A", "thread": "/0", "parent": "/", "position": 0,
             "at": "2026-11-22T09:30:01.001Z", "state": "failed", "failure": "context_full", "tokens": 9})"));
  e = stream.event();
  CHECK(e.name == "spawn");
  CHECK(e.data == json::parse(R"({"tree": "A", "thread": "/", "parent": null, "position": 40,
             "at": "2026-11-22T09:30:01.002Z", "children": ["/0", "/1"], "text": "<Calling Sub Searches>\n", "tokens": 0})"));
  e = stream.event();
  CHECK(e.name == "text");
  CHECK(number_of(e) == 4);
  CHECK(e.data.at("position") == 18);
  CHECK(e.data.at("text") == "more\n");
  e = stream.event();
  CHECK(e.name == "join");
  CHECK(e.data.at("text") == "<Sub Searches>\n");
}

TEST_CASE("a stream of one tree ends with its outcome", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/trees/A/events");
  read_snapshot(stream);
  s.trees.end("A");
  const auto last = rest_of(stream);
  REQUIRE(names_of(last) == strings{"done"});
  CHECK(last[0].data == json::parse(R"({"tree": "A", "thread": "/", "parent": null, "position": 0,
             "at": "2026-11-22T09:30:00.373Z", "state": "done", "failure": null, "outcome": {"solved": true, "claimed": true,
             "operations": ["50/5=10", "79-27=52", "52+10=62"], "solution": "path\n"}})"));
  wait_for([&] { return s.trees.hub.num_subscribers() == 0; });
}

TEST_CASE("the end is told with its event and nobody is asked for it", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader one(s, "/v1/trees/A/events"), all(s, "/v1/events");
  read_snapshot(one);
  int asked = 0;
  s.trees.before_find = [&] { ++asked; };
  s.trees.end("A");
  CHECK(rest_of(one).back().data.at("outcome").at("solved") == true);
  CHECK(all.event().data.at("outcome").at("solved") == true);
  CHECK(asked == 0);
}

TEST_CASE("a finished tree is told whole", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  fake_forest::finish(t, tree_phase::cancelled);
  s.trees.put(t);
  event_reader stream(s, "/v1/trees/A/events");
  const auto all = rest_of(stream);
  CHECK(names_of(all) == strings{"tree", "thread", "text", "done"});
  CHECK(all[3].data.at("state") == "cancelled");
  CHECK(all[3].data.at("failure") == "cancelled");
  CHECK(all[3].data.at("outcome").at("solved") == false);
  for (const auto i : {0, 2, 3}) CHECK(all[i].data.at("at") == "2026-11-22T09:30:00.373Z");
}

TEST_CASE("what a snapshot has already is not told again and what follows is", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  s.trees.hub.publish(text_of("A", "old"));
  s.trees.before_find = [&] { s.trees.hub.publish(text_of("A", "between")); };
  event_reader stream(s, "/v1/trees/A/events");
  read_snapshot(stream);
  CHECK(stream.event().data.at("text") == "between");
  s.trees.hub.publish(text_of("A", "new"));
  CHECK(stream.event().data.at("text") == "new");
}

TEST_CASE("a finished tree is told in the order in which it grew", "[http]") {
  served s;
  auto t = grown_tree("A");
  fake_forest::finish(t);
  s.trees.put(t);
  event_reader stream(s, "/v1/trees/A/events");
  const auto all = rest_of(stream);
  CHECK(outline_of(all)
        == strings{"tree", "thread /", "text / 0 Moving to Node #0\nso far\nx",
                   "spawn / 26 <Calling Sub Searches>\n", "thread /0", "text /0 0 at /0\n",
                   "thread /1", "text /1 0 at /1\n", "spawn /1 6 <Calling Sub Searches>\n",
                   "thread /1/0", "text /1/0 0 at /1/0\n", "join / 26 <Sub Searches>\n",
                   "text / 41 end\n", "done"});
  CHECK(all[3].data.at("children") == json{"/0", "/1"});
  CHECK(all[3].data.at("tokens") == 5);
  CHECK(all[3].data.at("at") == "2026-11-22T09:30:00.250Z");
  CHECK(all[11].data.at("at") == "2026-11-22T09:30:00.300Z");
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].id == "A-" + std::to_string(i + 1));
}

TEST_CASE("a finished tree goes on behind any of its events", "[http]") {
  served s;
  auto t = grown_tree("A");
  fake_forest::finish(t);
  s.trees.put(t);
  const auto from = [&](const std::string& id) {
    event_reader stream(s, "/v1/trees/A/events", last_event(id));
    CHECK(stream.head.status == 200);
    return outline_of(rest_of(stream));
  };
  const auto whole = from("0");
  CHECK(whole.size() == 14);
  for (const auto* id : {"B-3", "A", "A-x", "rubbish-1"}) CHECK(from(id) == whole);
  for (const int seen : {1, 6, 13})
    CHECK(from("A-" + std::to_string(seen)) == strings(whole.begin() + seen, whole.end()));
  for (const auto* id : {"A-14", "A-99"})
    CHECK(s.get("/v1/trees/A/events", last_event(id)).status == 204);
}

TEST_CASE("who comes back gets exactly what was missed", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  std::string begun, seen;
  {
    event_reader stream(s, "/v1/trees/A/events");
    for (int i = 0; i < 3; ++i) begun = stream.event().id;
    s.trees.hub.publish(event_of(kind::join, "A"));
    seen = stream.event().id;
  }
  s.trees.hub.publish(event_of(kind::spawn, "A"));
  s.trees.hub.publish(event_of(kind::spawn, "B"));
  s.trees.hub.publish(text_of("A", "more"));
  event_reader again(s, "/v1/trees/A/events", last_event(seen));
  const auto spawn = again.event(), text = again.event();
  CHECK(spawn.name == "spawn");
  CHECK(number_of(spawn) == 2);
  CHECK(text.data.at("text") == "more");
  CHECK(number_of(text) == 4);
  s.trees.hub.publish(event_of(kind::join, "A"));
  CHECK(number_of(again.event()) == 5);
}

TEST_CASE("who has seen a whole beginning goes on behind it", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  s.trees.hub.publish(event_of(kind::tree, "A"));
  strings ids;
  {
    event_reader stream(s, "/v1/trees/A/events");
    for (int i = 0; i < 3; ++i) ids.push_back(stream.event().id);
  }
  s.trees.hub.publish(event_of(kind::spawn, "A"));
  const auto first_of = [&](const std::string& id) {
    event_reader again(s, "/v1/trees/A/events", last_event(id));
    return again.event().name;
  };
  CHECK(first_of(ids[2]) == "spawn");
  CHECK(first_of(ids[1]) == "tree"); // a part of it is missing
  CHECK(first_of(ids[0]) == "tree");
}

TEST_CASE("no two events have the same id however often a story is told", "[http]") {
  served s(watching_on(0.02));
  s.trees.put(grown_tree("A"));
  s.trees.hub.publish(event_of(kind::tree, "A"));
  std::set<std::string> ids;
  std::string last;
  const auto read = [&](int most) {
    event_reader stream(s, "/v1/trees/A/events", last_event(last));
    for (int i = 0; i < most; ++i) CHECK(ids.insert(last = stream.event().id).second);
  };
  read(5);
  // Meanwhile it has written, and nothing has happened.
  s.trees.change("A", [](tree& t) { t.threads[0].segments[1].text = "further\n"; });
  read(13);
  wait_for([&] { return !s.trees.hub.watched("A"); });
  read(13); // behind the last part, too
  s.trees.hub.publish(event_of(kind::spawn, "A"));
  read(1);
  CHECK(ids.size() == 32);
}

TEST_CASE("who comes back when nobody listened any more begins anew", "[http]") {
  served s(watching_on(0.02));
  s.trees.put(fake_forest::running_tree("A"));
  std::string seen;
  {
    event_reader stream(s, "/v1/trees/A/events");
    read_snapshot(stream);
    s.trees.hub.publish(event_of(kind::join, "A"));
    seen = stream.event().id;
  }
  wait_for([&] { return !s.trees.hub.watched("A"); }); // nobody tells what is written
  event_reader again(s, "/v1/trees/A/events", last_event(seen));
  CHECK(again.event().name == "tree");
}

TEST_CASE("who comes back after the end gets the rest and the end", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  std::string seen;
  {
    event_reader stream(s, "/v1/trees/A/events");
    read_snapshot(stream);
    s.trees.hub.publish(event_of(kind::join, "A"));
    seen = stream.event().id;
  }
  s.trees.hub.publish(event_of(kind::thread, "A"));
  s.trees.hub.publish(text_of("A", "more"));
  s.trees.end("A");
  event_reader again(s, "/v1/trees/A/events", last_event(seen));
  const auto rest = rest_of(again);
  CHECK(names_of(rest) == strings{"thread", "text", "done"});
  CHECK(rest[2].data.at("outcome").at("solved") == true);
  CHECK(s.get("/v1/trees/A/events", last_event(rest[2].id)).status == 204);
}

TEST_CASE("who comes back too late or from elsewhere begins anew", "[http]") {
  served s(event_hub::limits{4, 100});
  s.trees.put(fake_forest::running_tree("A"));
  std::string seen;
  {
    event_reader stream(s, "/v1/trees/A/events");
    read_snapshot(stream);
    s.trees.hub.publish(event_of(kind::join, "A"));
    seen = stream.event().id;
  }
  const auto first_of = [&](const std::string& id) {
    event_reader again(s, "/v1/trees/A/events", "Last-Event-ID: " + id + "\r\n");
    return again.event().name;
  };
  s.trees.hub.publish(event_of(kind::spawn, "A"));
  CHECK(first_of(seen) == "spawn");
  CHECK(first_of("0123456789abcdef-1") == "tree");
  CHECK(first_of(seen + "000") == "tree");
  CHECK(first_of("rubbish") == "tree");
  for (int i = 0; i < 10; ++i) s.trees.hub.publish(event_of(kind::spawn, "B"));
  CHECK(first_of(seen) == "tree");
}

TEST_CASE("a tree is watched as long as somebody streams it and a moment longer", "[http]") {
  served s(watching_on(0.02));
  s.trees.put(fake_forest::running_tree("A"));
  {
    event_reader stream(s, "/v1/trees/A/events");
    CHECK(s.trees.hub.watched("A"));
  }
  wait_for([&] { return !s.trees.hub.watched("A"); });
}

} // namespace
} // namespace banyan
