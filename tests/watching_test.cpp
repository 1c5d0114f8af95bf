#include "tests/pausing_session.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace banyan {
namespace {

using namespace std::chrono_literals;

TEST_CASE_METHOD(pausing_session, "a watcher is told of every state, spawn, text and join",
                 "[actors]") {
  const auto watching = events->subscribe("t", 0, [] {});
  auto reply = solve();
  const auto t = finished(take<finished_tree>(reply));
  // What the events say, put together, is the text of every thread.
  std::map<std::string, std::string> said;
  std::vector<tree_event::kind> kinds;
  std::optional<outcome> told;
  for (const auto& e : watching->take()) {
    kinds.push_back(e.what);
    told = e.outcome;
    if (e.what != tree_event::kind::text && e.what != tree_event::kind::join) continue;
    auto& text = said[e.thread];
    REQUIRE(e.position <= text.size());
    text = text.substr(0, e.position) + e.text;
  }
  for (const auto& thread : t.threads) CHECK(said[thread.path] == thread.text());
  using enum tree_event::kind;
  for (const auto kind :
       {tree_event::kind::tree, thread, spawn, tree_event::kind::text, tree_event::kind::join})
    CHECK(std::ranges::count(kinds, kind) > 0);
  CHECK(kinds.back() == done);
  CHECK(told == t.outcome);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "what a watcher is told happened when the record says so",
                 "[actors]") {
  auto options = reasoning();
  options.unix_ms = [looks = std::make_shared<std::int64_t>(1000)] { return ++*looks; };
  const auto watching = events->subscribe("t", 0, [] {});
  const auto t = finished(ask<finished_tree>(spawn_session(sys, {options, 1, {}, false}), work()));
  using marks = std::vector<std::pair<std::string, std::int64_t>>;
  std::map<std::string, marks> heard;
  const auto all = watching->take();
  for (const auto& e : all)
    if (e.what == tree_event::kind::thread) heard[e.thread].emplace_back(e.state, e.at_ms);
  for (const auto& thread : t.threads) {
    marks history;
    for (const auto& mark : thread.history) history.emplace_back(to_string(mark.phase), mark.at_ms);
    CHECK(heard[thread.path] == history);
  }
  CHECK(all.back().at_ms == t.finished_ms);
  CHECK(std::ranges::is_sorted(all, {}, &tree_event::at_ms));
}

TEST_CASE_METHOD(pausing_session, "a watcher that comes late hears of what is decoded then",
                 "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  const auto watching = events->subscribe("t", 0, [] {});
  self->send(aut, watch_request{"t", true});
  run();
  CHECK(script->watched == std::vector<std::pair<std::string, bool>>{{"/", true}});
  self->send(aut, watch_request{"t", false});
  run();
  CHECK(script->watched.back() == std::pair<std::string, bool>{"/", false});
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

} // namespace
} // namespace banyan
