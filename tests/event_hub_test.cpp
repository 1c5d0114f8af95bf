#include "actors/event_hub.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using kind = tree_event::kind;

tree_event event_of(std::string tree, kind what = kind::thread, std::string text = "") {
  tree_event e;
  e.what = what;
  e.tree = std::move(tree);
  e.text = std::move(text);
  return e;
}

const auto nobody = [] {};

/// The trees and ids of what a subscriber has got: "a1 b2".
std::string taken_from(event_hub::subscription& s, std::size_t most = SIZE_MAX) {
  std::string all;
  for (const auto& e : s.take(most))
    all += (all.empty() ? "" : " ") + e.tree + std::to_string(e.id);
  return all;
}

TEST_CASE("every kind of event has the name by which it is streamed", "[actors]") {
  std::vector<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(kind::done); ++i)
    names.push_back(to_string(static_cast<kind>(i)));
  CHECK(names == std::vector<std::string_view>{"tree", "thread", "spawn", "text", "join", "done"});
}

TEST_CASE("an event comes as it was published and with an id", "[actors]") {
  event_hub hub;
  const auto subscription = hub.subscribe("a", 0, nobody);
  tree_event e;
  e.what = kind::spawn;
  e.tree = "a", e.thread = "/0", e.parent = "/";
  e.position = 7, e.at_ms = 8, e.tokens = 9;
  e.state = "waiting", e.text = "block";
  e.children = {"/0/0", "/0/1"};
  e.failure = errc::deadline;
  hub.publish(e);
  const auto got = subscription->take();
  REQUIRE(got.size() == 1);
  CHECK(got[0].id == 1);
  CHECK(got[0].what == e.what);
  CHECK(got[0].tree == e.tree);
  CHECK(got[0].thread == e.thread);
  CHECK(got[0].parent == e.parent);
  CHECK(got[0].position == e.position);
  CHECK(got[0].at_ms == e.at_ms);
  CHECK(got[0].tokens == e.tokens);
  CHECK(got[0].state == e.state);
  CHECK(got[0].text == e.text);
  CHECK(got[0].children == e.children);
  CHECK(got[0].failure == e.failure);
  CHECK(hub.newest() == 1);
}

TEST_CASE("a subscriber of a tree gets its events and no others", "[actors]") {
  event_hub hub;
  const auto a = hub.subscribe("a", 0, nobody), b = hub.subscribe("b", 0, nobody);
  for (const auto* tree : {"a", "b", "c", "a"}) hub.publish(event_of(tree));
  CHECK(taken_from(*a) == "a1 a4");
  CHECK(taken_from(*b) == "b2");
  CHECK(taken_from(*b).empty());
}

TEST_CASE("text reaches subscribers of its tree and not those of all trees", "[actors]") {
  event_hub hub;
  const auto a = hub.subscribe("a", 0, nobody), all = hub.subscribe("", 0, nobody);
  hub.publish(event_of("a", kind::text, "w"));
  hub.publish(event_of("b"));
  CHECK(taken_from(*a) == "a1");
  CHECK(taken_from(*all) == "b2");
  CHECK(taken_from(*hub.subscribe("", 0, nobody)).empty());
  hub.publish(event_of("a", kind::text, "v"));
  const auto back = hub.subscribe("", 1, nobody);
  CHECK(taken_from(*back) == "b2");
}

TEST_CASE("events are taken in parts and in order", "[actors]") {
  event_hub hub;
  const auto all = hub.subscribe("", 0, nobody);
  for (int i = 0; i < 5; ++i) hub.publish(event_of("a"));
  CHECK(taken_from(*all, 2) == "a1 a2");
  CHECK(taken_from(*all, 0).empty());
  CHECK(taken_from(*all, 2) == "a3 a4");
  CHECK(taken_from(*all) == "a5");
}

TEST_CASE("who comes back gets what it missed and then what is new", "[actors]") {
  event_hub hub;
  for (const auto* tree : {"a", "b", "a", "b"}) hub.publish(event_of(tree));
  const auto all = hub.subscribe("", 2, nobody), b = hub.subscribe("b", 2, nobody);
  const auto fresh = hub.subscribe("b", 0, nobody);
  hub.publish(event_of("b"));
  CHECK(taken_from(*all) == "a3 b4 b5");
  CHECK(taken_from(*b) == "b4 b5");
  CHECK(taken_from(*fresh) == "b5");
}

TEST_CASE("the hub says which events it still keeps", "[actors]") {
  event_hub hub({.kept = 3});
  CHECK(hub.newest() == 0);
  CHECK(hub.keeps(0));
  CHECK_FALSE(hub.keeps(1)); // of a hub that is no more
  for (int i = 0; i < 3; ++i) hub.publish(event_of("a"));
  CHECK(hub.keeps(0));
  hub.publish(event_of("a")); // 2 3 4 are left
  CHECK_FALSE(hub.keeps(0));
  CHECK(hub.keeps(1));
  CHECK(hub.keeps(4));
  CHECK_FALSE(hub.keeps(5));
  CHECK(taken_from(*hub.subscribe("", 1, nobody)) == "a2 a3 a4");
}

TEST_CASE("a hub that keeps nothing passes events on", "[actors]") {
  event_hub hub({.kept = 0});
  const auto all = hub.subscribe("", 0, nobody);
  hub.publish(event_of("a"));
  CHECK(taken_from(*all) == "a1");
  CHECK(hub.keeps(1));
  CHECK_FALSE(hub.keeps(0));
}

TEST_CASE("who does not take its events loses its subscription and nobody else's", "[actors]") {
  event_hub hub({.pending = 3});
  const auto slow = hub.subscribe("", 0, nobody), quick = hub.subscribe("", 0, nobody);
  std::string got;
  for (int i = 0; i < 5; ++i) {
    hub.publish(event_of("a"));
    got += taken_from(*quick);
  }
  CHECK(got == "a1a2a3a4a5");
  CHECK_FALSE(quick->lost());
  CHECK(slow->lost());
  CHECK(taken_from(*slow) == "a1 a2 a3"); // without a gap: it may come back behind the last
  hub.publish(event_of("a"));
  CHECK(taken_from(*slow).empty());
  CHECK(taken_from(*hub.subscribe("", 3, nobody)) == "a4 a5 a6");
}

TEST_CASE("events from before a subscription are not held against it", "[actors]") {
  event_hub hub({.kept = 10, .pending = 2});
  for (int i = 0; i < 8; ++i) hub.publish(event_of("a"));
  const auto all = hub.subscribe("", 1, nobody);
  hub.publish(event_of("a"));
  hub.publish(event_of("a"));
  CHECK_FALSE(all->lost());
  CHECK(taken_from(*all, 8) == "a2 a3 a4 a5 a6 a7 a8 a9");
  hub.publish(event_of("a"));
  CHECK_FALSE(all->lost());
  hub.publish(event_of("a")); // 10 11 were lying
  CHECK(all->lost());
}

TEST_CASE("only an event in an empty queue wakes a subscriber", "[actors]") {
  event_hub hub;
  int woken = 0;
  auto subscription = hub.subscribe("a", 0, [&] { ++woken; });
  hub.publish(event_of("b"));
  CHECK(woken == 0);
  hub.publish(event_of("a"));
  hub.publish(event_of("a"));
  CHECK(woken == 1);
  subscription->take(1);
  hub.publish(event_of("a"));
  CHECK(woken == 1);
  subscription->take();
  hub.publish(event_of("a"));
  CHECK(woken == 2);
  subscription->take();
  subscription.reset();
  hub.publish(event_of("a"));
  CHECK(woken == 2);
}

TEST_CASE("events that carry much are kept as far as there is room", "[actors]") {
  event_hub hub({.kept = 100, .kept_bytes = 100'000});
  for (int i = 0; i < 3; ++i) hub.publish(event_of("a"));
  CHECK(hub.keeps(0));
  for (int i = 0; i < 10; ++i) hub.publish(event_of("a", kind::spawn, std::string(30'000, 'x')));
  CHECK(hub.newest() == 13);
  CHECK(hub.keeps(10));
  CHECK_FALSE(hub.keeps(9));
  CHECK(taken_from(*hub.subscribe("a", 10, nobody)) == "a11 a12 a13");
  hub.publish(event_of("a", kind::spawn, std::string(200'000, 'x'))); // more than there is room for
  CHECK(hub.keeps(14));
  CHECK_FALSE(hub.keeps(13));
  for (int i = 0; i < 3; ++i) hub.publish(event_of("a"));
  CHECK(hub.keeps(14));
}

TEST_CASE("a subscriber that leaves much lying is dropped", "[actors]") {
  event_hub hub({.pending_bytes = 100'000});
  const auto big = event_of("a", kind::spawn, std::string(60'000, 'x'));
  const auto taking = hub.subscribe("a", 0, nobody), leaving = hub.subscribe("a", 0, nobody);
  for (int i = 0; i < 10; ++i) {
    hub.publish(big);
    CHECK(taking->take().size() == 1);
  }
  CHECK_FALSE(taking->lost());
  CHECK(leaving->lost());
  CHECK(leaving->take().size() == 2);
}

TEST_CASE("a tree is watched from its first subscriber to its last", "[actors]") {
  event_hub hub;
  std::vector<std::string> told;
  hub.on_watch([&](const std::string& tree, bool on) { told.push_back(tree + (on ? "+" : "-")); });
  const auto all = hub.subscribe("", 0, nobody);
  CHECK_FALSE(hub.watched("a"));
  auto first = hub.subscribe("a", 0, nobody), second = hub.subscribe("a", 0, nobody);
  const auto other = hub.subscribe("b", 0, nobody);
  CHECK(hub.watched("a"));
  CHECK_FALSE(hub.watched("c"));
  CHECK(hub.num_subscribers() == 4);
  first.reset();
  CHECK(hub.watched("a"));
  second.reset();
  CHECK_FALSE(hub.watched("a"));
  CHECK(hub.watched("b"));
  CHECK(hub.num_subscribers() == 2);
  CHECK(told == std::vector<std::string>{"a+", "b+", "a-"});
}

TEST_CASE("a subscription may outlive its hub", "[actors]") {
  std::optional<event_hub> hub(std::in_place);
  const auto all = hub->subscribe("", 0, nobody);
  hub->publish(event_of("a"));
  hub.reset();
  CHECK(taken_from(*all) == "a1");
}

// ---- several OS threads

constexpr int num_publishers = 4;
constexpr int num_events = 2000; // of each publisher

/// Publisher p publishes events of the tree "p", numbered by their position.
std::vector<std::jthread> start_publishers(event_hub& hub) {
  std::vector<std::jthread> publishers;
  for (int p = 0; p < num_publishers; ++p)
    publishers.emplace_back([&hub, p] {
      for (int i = 0; i < num_events; ++i) {
        auto e = event_of(std::to_string(p));
        e.position = static_cast<std::uint64_t>(i);
        hub.publish(std::move(e));
      }
    });
  return publishers;
}

/// Waits where there is nothing to take.
class reader {
public:
  reader(event_hub& hub, std::string tree, std::uint64_t after = 0)
      : subscription_(hub.subscribe(std::move(tree), after, [this] { wake(); })) {}

  std::vector<tree_event> take() {
    for (;;) {
      auto events = subscription_->take();
      if (!events.empty()) return events;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return std::exchange(woken_, false); });
    }
  }

private:
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::unique_ptr<event_hub::subscription> subscription_; // last: it ends first
};

TEST_CASE("subscribers get what several OS threads publish whole and in order", "[actors]") {
  event_hub hub({.pending = num_publishers * num_events});
  reader all(hub, ""), one(hub, "1");
  const auto publishers = start_publishers(hub);
  std::uint64_t last = 0, count = 0;
  std::vector<std::uint64_t> next(num_publishers, 0);
  bool in_order = true;
  while (count < num_publishers * num_events)
    for (const auto& e : all.take()) {
      in_order &= e.id > std::exchange(last, e.id);
      in_order &= e.position == next[std::stoul(e.tree)]++;
      ++count;
    }
  CHECK(in_order);
  std::uint64_t position = 0;
  while (position < num_events)
    for (const auto& e : one.take()) in_order &= e.tree == "1" && e.position == position++;
  CHECK(in_order);
}

TEST_CASE("who leaves and comes back meets every event once", "[actors]") {
  event_hub hub({.kept = num_publishers * num_events});
  const auto all = hub.subscribe("", 0, nobody); // does not take and is lost: in nobody's way
  hub.publish(event_of("0"));
  const auto publishers = start_publishers(hub);
  std::set<std::uint64_t> ids;
  std::uint64_t last = 1, twice = 0;
  while (ids.size() < num_publishers * num_events) {
    reader visit(hub, "", last);
    for (const auto& e : visit.take()) {
      twice += !ids.insert(e.id).second;
      last = e.id;
    }
  }
  CHECK(twice == 0);
  CHECK(*ids.rbegin() == num_publishers * num_events + 1);
}

TEST_CASE("nobody is woken after its subscription has ended", "[actors]") {
  event_hub hub;
  std::atomic<bool> stop = false;
  std::atomic<int> late = 0, woken = 0;
  std::vector<std::jthread> publishers;
  for (int p = 0; p < 2; ++p)
    publishers.emplace_back([&] {
      while (!stop) hub.publish(event_of("a", kind::text));
    });
  for (int i = 0; i < 2000 || woken == 0; ++i) {
    std::atomic<bool> ended = false;
    auto subscription = hub.subscribe("a", 0, [&] { ended ? ++late : ++woken; });
    subscription->take();
    subscription.reset();
    ended = true;
  }
  stop = true;
  CHECK(late == 0);
}

TEST_CASE("what was told of a tree last holds", "[actors]") {
  event_hub hub;
  std::atomic<bool> watched = false;
  hub.on_watch([&](const std::string&, bool on) { watched = on; });
  std::vector<std::jthread> visitors;
  for (int v = 0; v < 4; ++v)
    visitors.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) hub.subscribe("a", 0, nobody);
    });
  visitors.clear();
  CHECK_FALSE(watched);
  const auto stays = hub.subscribe("a", 0, nobody);
  CHECK(watched);
}

} // namespace
} // namespace banyan
