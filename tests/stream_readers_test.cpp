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

// ---- readers

TEST_CASE("a quiet stream is kept open by comments", "[http]") {
  auto options = on_any_port();
  options.keep_alive_s = 0.02;
  served s(options);
  event_reader stream(s, "/v1/events");
  std::string lines;
  while (lines.size() < 18) lines += read_chunk(stream.client());
  CHECK(
      lines.starts_with("retry: 1000\n:\n:\n:\n")); // no empty line: some take a block for an event
  s.trees.hub.publish(event_of(kind::thread, "A"));
  CHECK(stream.event().name == "thread");
}

TEST_CASE("a reader that takes nothing is dropped", "[http]") {
  auto options = on_any_port();
  options.write_timeout_s = 0.2;
  options.watch_on_s = 0.02;
  served s(event_hub::limits{16, 64}, options);
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stuck(s, "/v1/trees/A/events", {}, 4096);
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 400; ++i) s.trees.hub.publish(text_of("A", piece));
  wait_for([&] { return s.trees.hub.num_subscribers() == 0; });
  CHECK(s.get("/healthz").status == 200);
}

TEST_CASE("a reader that falls behind finds its stream ended", "[http]") {
  served s(event_hub::limits{16, 64});
  s.trees.put(fake_forest::running_tree("A"));
  event_reader slow(s, "/v1/trees/A/events", {}, 4096);
  const std::string piece(64 * 1024, 'x');
  // So many come through one by one; then they come faster than they are read.
  for (int i = 0; i < 2; ++i) slow.event(); // how the tree is now
  for (int i = 0; i < 65; ++i) {
    s.trees.hub.publish(text_of("A", piece));
    CHECK(slow.event().name == "text");
  }
  for (int i = 0; i < 400; ++i) s.trees.hub.publish(text_of("A", piece));
  std::size_t read = 65;
  for (const auto& e : rest_of(slow)) read += e.name == "text";
  CHECK(read > 64);
  CHECK(read < 465);
}

TEST_CASE("a large snapshot is no reason to drop its reader", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  t.threads[0].segments[1].text = std::string(6 << 20, 'x');
  s.trees.put(t);
  event_reader stream(s, "/v1/trees/A/events", {}, 4096);
  for (int i = 0; i < 2; ++i) stream.event();
  s.trees.hub.publish(event_of(kind::join, "A"));
  CHECK(stream.event().data.at("text").get<std::string>().size() > (6 << 20));
  CHECK(stream.event().name == "join");
}

TEST_CASE("a story is told as fast as it is read", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  for (int i = 0; i < 60; ++i) {
    auto& child = t.add(child_path("/", static_cast<std::uint32_t>(i)));
    child.segments = {{segment_kind::prompt, std::string(1 << 20, 'x'), {}, {}, {}}};
  }
  fake_forest::finish(t);
  const auto parts = 3 + 2 * 60 + 1;
  SECTION("of a finished tree") {}
  SECTION("of a tree that lives") {
    t.phase = tree_phase::running;
    t.finished_ms = 0;
  }
  const bool lives = t.finished_ms == 0;
  s.trees.put(t);
  event_reader stream(s, "/v1/trees/A/events", {}, 4096);
  std::vector<sent_event> told;
  for (int i = 0; i < parts - (lives ? 1 : 0); ++i) told.push_back(stream.event());
  CHECK(told.front().name == "tree");
  for (std::size_t i = 0; i + 1 < told.size(); ++i)
    CHECK(told[i].id.ends_with((lives ? "-0.1." : "A-") + std::to_string(i + 1)));
  if (!lives) {
    CHECK(told.back().name == "done");
    CHECK_FALSE(stream.next());
    return;
  }
  CHECK(told.back().id.ends_with("-0.1"));
  s.trees.hub.publish(event_of(kind::join, "A"));
  CHECK(stream.event().name == "join");
}

TEST_CASE("a thousand streams are open at once", "[http]") {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit more = files;
  more.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ::setrlimit(RLIMIT_NOFILE, &more);
  REQUIRE(more.rlim_cur >= 2500);
  {
    served s(watching_on(0.02));
    s.trees.put(fake_forest::running_tree("A"));
    std::vector<event_reader> streams;
    for (int i = 0; i < 1000; ++i)
      streams.emplace_back(s, i % 2 == 0 ? "/v1/trees/A/events" : "/v1/events");
    wait_for([&] { return s.trees.hub.num_subscribers() == 1000; });
    CHECK(s.get("/metrics").body.find("banyan_event_streams 1000\n") != std::string::npos);
    auto told = event_of(kind::join, "A");
    told.text = "to all";
    s.trees.hub.publish(told);
    for (auto& stream : streams) {
      auto e = stream.event();
      while (e.name != "join") e = stream.event();
      CHECK(e.data.at("text") == "to all");
    }
    CHECK(s.get("/v1/trees").status == 200);
    streams.clear();
    wait_for([&] { return s.trees.hub.num_subscribers() == 0; });
  }
  ::setrlimit(RLIMIT_NOFILE, &files);
}

} // namespace
} // namespace banyan
