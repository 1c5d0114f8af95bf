#include "tests/streamed.hpp"

#include <algorithm>
#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using kind = tree_event::kind;

TEST_CASE("the stream of all trees has their events without texts", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/events");
  s.trees.hub.publish(event_of(kind::tree, "A"));
  s.trees.hub.publish(text_of("A", "unheard"));
  s.trees.hub.publish(event_of(kind::spawn, "B"));
  CHECK(stream.event().data.at("tree") == "A");
  CHECK(stream.event().data.at("tree") == "B");
  s.trees.end("A");
  const auto done = stream.event();
  CHECK(done.name == "done");
  CHECK(done.data.at("outcome").at("solved") == true);
  s.trees.hub.publish(event_of(kind::tree, "C"));
  CHECK(stream.event().data.at("tree") == "C"); // it goes on after a done
}

TEST_CASE("the stream of all trees goes on where its reader left", "[http]") {
  served s;
  std::string seen;
  {
    event_reader stream(s, "/v1/events");
    s.trees.hub.publish(event_of(kind::tree, "A"));
    seen = stream.event().id;
  }
  s.trees.hub.publish(event_of(kind::tree, "B"));
  event_reader again(s, "/v1/events", "Last-Event-ID: " + seen + "\r\n");
  CHECK(again.event().data.at("tree") == "B");
}

TEST_CASE("an end without an outcome is told without one", "[http]") {
  served s;
  event_reader stream(s, "/v1/events");
  s.trees.hub.publish(event_of(kind::done, "lost"));
  CHECK(stream.event().data.at("outcome") == nullptr);
}

TEST_CASE("who missed events of all trees hears first which trees live and how they are",
          "[http]") {
  served s;
  for (int i = 0; i < 250; ++i) s.trees.put(fake_forest::running_tree("T" + std::to_string(i)));
  s.trees.hub.publish(event_of(kind::tree, "T0"));
  s.trees.change("T7", [](tree& t) { t.phase = tree_phase::paused; });
  s.trees.change("T8", [](tree& t) { fake_forest::finish(t); });
  event_reader stream(s, "/v1/events", "Last-Event-ID: anotherlife-17\r\n");
  std::vector<std::string> names;
  std::string last;
  for (int i = 0; i < 249; ++i) {
    const auto e = stream.event();
    REQUIRE(e.name == "tree");
    names.push_back(e.data.at("tree"));
    CHECK(e.data.at("state") == (names.back() == "T7" ? "paused" : "running"));
    last = e.id;
  }
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
  CHECK_FALSE(std::ranges::binary_search(names, std::string("T8")));
  s.trees.hub.publish(event_of(kind::tree, "A"));
  CHECK(stream.event().data.at("tree") == "A");
  s.trees.hub.publish(event_of(kind::tree, "B"));
  event_reader again(s, "/v1/events", "Last-Event-ID: " + last + "\r\n");
  CHECK(again.event().data.at("tree") == "A");
  CHECK(again.event().data.at("tree") == "B");
}

TEST_CASE("who has heard of as many trees as are asked for at once goes on from the last of them",
          "[http]") {
  const auto count = GENERATE(99, 100, 101, 200, 201);
  CAPTURE(count);
  served s;
  for (int i = 0; i < count; ++i) s.trees.put(fake_forest::running_tree("T" + std::to_string(i)));
  s.trees.hub.publish(event_of(kind::tree, "T0"));
  std::string last;
  {
    event_reader stream(s, "/v1/events", "Last-Event-ID: anotherlife-17\r\n");
    for (int i = 0; i < count; ++i) last = stream.event().id;
  }
  s.trees.hub.publish(event_of(kind::tree, "A"));
  event_reader again(s, "/v1/events", "Last-Event-ID: " + last + "\r\n");
  CHECK(again.event().data.at("tree") == "A");
}

TEST_CASE("who reads slowly hears of all trees that live", "[http]") {
  served s;
  constexpr std::size_t count = 30000; // more than lies in buffers on the way
  for (std::size_t i = 0; i < count; ++i)
    s.trees.put(fake_forest::running_tree("T" + std::to_string(i)));
  event_reader stream(s, "/v1/events", "Last-Event-ID: anotherlife-17\r\n", 4096);
  for (int asked = 0; asked < 3; ++asked) s.get("/v1/trees?limit=1"); // others are answered
  std::set<std::string> told;
  while (told.size() < count) {
    const auto e = stream.event();
    REQUIRE(e.name == "tree");
    CHECK(told.insert(e.data.at("tree")).second);
  }
  s.trees.hub.publish(event_of(kind::tree, "A"));
  CHECK(stream.event().data.at("tree") == "A");
}

TEST_CASE("who has heard only a part of which trees live hears it anew", "[http]") {
  served s;
  for (const auto* id : {"A", "B", "C"}) s.trees.put(fake_forest::running_tree(id));
  std::string seen;
  {
    event_reader stream(s, "/v1/events", "Last-Event-ID: anotherlife-17\r\n");
    seen = stream.event().id;
  }
  event_reader again(s, "/v1/events", "Last-Event-ID: " + seen + "\r\n");
  for (const auto* id : {"C", "B", "A"}) CHECK(again.event().data.at("tree") == id);
}

TEST_CASE("a stream that cannot be told which trees live ends", "[http]") {
  served s;
  s.trees.refuse = refusal{refusal::kind::unavailable, "too many wait; try again"};
  event_reader stream(s, "/v1/events", "Last-Event-ID: anotherlife-17\r\n");
  CHECK_FALSE(stream.next());
  s.trees.refuse.reset();
  CHECK(s.get("/metrics").body.find("banyan_event_streams 0") != std::string::npos);
}

TEST_CASE("who comes for the first time hears what happens from now on", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/events");
  s.trees.hub.publish(event_of(kind::tree, "B"));
  CHECK(stream.event().data.at("tree") == "B");
}

} // namespace
} // namespace banyan
