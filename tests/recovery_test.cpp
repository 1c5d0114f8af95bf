#include "tests/recovering_node.hpp"

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// The same tree, but for times.
void check_same(const tree& a, const tree& b) {
  REQUIRE(a.threads.size() == b.threads.size());
  CHECK(a.outcome.solution == b.outcome.solution);
  CHECK(a.phase == b.phase);
  for (const auto& thread : a.threads) {
    const auto* other = b.find(thread.path);
    REQUIRE(other);
    CHECK(told(thread) == told(*other));
    CHECK(thread.phase == other->phase);
    CHECK(thread.failure == other->failure);
    CHECK(thread.rounds == other->rounds);
    CHECK(thread.round == other->round);
    CHECK(thread.generated_tokens() == other->generated_tokens());
  }
}

TEST_CASE_METHOD(recovering_node, "a tree goes on wherever it was cut off", "[actors]") {
  request.budget.max_depth = 2;
  script->lines["/0"] = {texts::nested_spawn, texts::reaching + texts::good_solution};
  script->lines["/0/0"] = {texts::nested_child};
  const auto whole = finished([&] {
    auto reply = submit();
    return take<finished_tree>(reply);
  }());
  kept->finished.clear();

  const auto silent =
      GENERATE(as<std::set<std::string>>{}, std::set<std::string>{}, std::set<std::string>{"/"},
               std::set<std::string>{"/0", "/1"}, std::set<std::string>{"/1"},
               std::set<std::string>{"/0/0"}, std::set<std::string>{"/0/0", "/1"});
  script->silent = silent;
  submit();
  crash();
  const auto again = continue_tree();
  check_same(again, whole);
  // Children that had answered were not asked again.
  for (const auto& asked : script->requests)
    CHECK(asked.thread != (silent.contains("/1") && !silent.contains("/0/0") ? "/0/0" : "none"));
}

TEST_CASE_METHOD(recovering_node, "a second round goes on after a restart", "[actors]") {
  const auto first = texts::expansion + texts::spawn_two;
  script->lines["/"] = {first, first, texts::conclusion};
  script->lines["/2"] = {texts::good_child};
  script->lines["/3"] = {texts::bad_child};
  const auto whole = finished([&] {
    auto reply = submit();
    return take<finished_tree>(reply);
  }());
  kept->finished.clear();
  script->silent = {"/3"};
  submit();
  crash();
  check_same(continue_tree(), whole);
}

TEST_CASE_METHOD(recovering_node, "a watcher is told what threads had written before a restart",
                 "[actors]") {
  script->silent = {"/1"};
  submit();
  crash();
  const auto watching = events->subscribe("t", 0, [] {});
  const auto t = continue_tree();
  std::map<std::string, std::string> said;
  for (const auto& e : watching->take()) {
    if (e.what != tree_event::kind::text && e.what != tree_event::kind::join) continue;
    auto& text = said[e.thread];
    REQUIRE(e.position <= text.size());
    text = text.substr(0, e.position) + e.text;
  }
  for (const auto* path : {"/", "/1"}) CHECK(said[path] == t.find(path)->text());
}

TEST_CASE_METHOD(recovering_node, "a tree whose end could not be stored ends once more",
                 "[actors]") {
  script->silent = {"/1"};
  auto reply = submit();
  kept->fails = true;
  break_silence();
  CHECK(errc_of(take<finished_tree>(reply).error(), errc::none) == errc::not_stored);
  kept->fails = false;
  crash();
  CHECK(continue_tree().outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a tree has after a restart only the time that was left",
                 "[actors]") {
  const bool in_time = GENERATE(true, false);
  script->silent = {"/"};
  submit();
  advance(20s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"}));
  for (int i = 0; i < 100; ++i) advance(1s); // counts for nothing
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/"}));
  advance(30s);
  script->silent = {"/1"};
  self->send(pool, atom::step_v); // the root spawns, "/0" ends: 50 of 60 seconds are used
  run();
  CHECK(kept->unfinished("t").used_ms == 50'000);
  crash();
  for (int i = 0; i < 100; ++i) advance(1s); // nor does this
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  for (int i = 0; i < (in_time ? 9 : 11); ++i) advance(1s);
  break_silence();
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->failure == (in_time ? errc::none : errc::deadline));
}

TEST_CASE_METHOD(recovering_node, "a tree that is cancelled before it goes on keeps what it did",
                 "[actors]") {
  script->silent = {"/1"};
  submit();
  crash();
  aut = start(1);
  const auto work = kept->unfinished("t");
  request.id = "first";
  script->silent = {"/"};
  submit();
  self->send(aut, work);
  run();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::cancel, "t", "/"}));
  REQUIRE(kept->finished.size() == 1);
  const auto& t = *kept->finished.front().value;
  CHECK(t.phase == tree_phase::cancelled);
  CHECK(t.inconsistent().value_or("") == "");
  REQUIRE(t.threads.size() == 3);
  CHECK(t.find("/0")->phase == thread_phase::done);
  CHECK(t.find("/1")->failure == errc::cancelled);
  CHECK(t.usage().generated_tokens > 0);
  break_silence();
}

TEST_CASE_METHOD(recovering_node, "the time of a tree that is cut off twice adds up", "[actors]") {
  script->silent = {"/1"};
  submit();
  for (int i = 0; i < 2; ++i) {
    advance(20s);
    REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/1"}));
    CHECK(kept->unfinished("t").used_ms == 20'000 * (i + 1));
    crash();
    aut = start();
    self->send(aut, kept->unfinished("t"));
    run();
    REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/1"}));
  }
  break_silence();
  CHECK(kept->finished.front().value->outcome.solved);
}

TEST_CASE_METHOD(
    recovering_node,
    "wall time before and after a restart adds up and what lies between does not count",
    "[actors]") {
  script->silent = {"/1"};
  submit();
  advance(20s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"}));
  advance(7s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/"}));
  CHECK(ask<tree_status>(aut, tree_request{"t"})->value->wall_ms == 20'000);
  crash();
  for (int i = 0; i < 100; ++i) advance(1s);
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  advance(5s);
  break_silence();
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->wall_ms == 25'000);
}

TEST_CASE_METHOD(recovering_node, "a join with a deadline has its time after a pause and a restart",
                 "[actors]") {
  request.join = {join_policy::kind::deadline, 1, 5.0};
  script->silent = {"/1"};
  for (int i = 0; i < 20; ++i) advance(1s); // the clock is not at its beginning
  submit();
  const auto steer = [&](tree_action what) {
    REQUIRE(ask<tree_status>(aut, steer_request{what, "t", "/"}));
  };
  steer(tree_action::pause);
  crash();
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  steer(tree_action::resume);
  for (int i = 0; i < 6; ++i) advance(1s);
  REQUIRE(kept->finished.size() == 1);
  CHECK_FALSE(kept->finished.front().value->find("/1")->awaited);
}

TEST_CASE_METHOD(recovering_node, "nobody decodes or waits while there is no daemon", "[actors]") {
  const auto begin = unix_ms()();
  script->silent = {"/"};
  submit();
  advance(10s);
  script->silent = {"/1"}; // the root spawns, "/0" ends
  self->send(pool, atom::step_v);
  run();
  advance(10s);
  crash();
  advance(30s);
  const auto t = continue_tree();
  CHECK(history_of(t, "/", begin)
        == "decoding 0, waiting 10, queued 10, waiting 50, decoding 50, done 50, ");
  CHECK(history_of(t, "/0", begin) == "decoding 10, done 10, ");
  CHECK(history_of(t, "/1", begin) == "decoding 50, failed 50, "); // begun anew
}

TEST_CASE_METHOD(recovering_node, "a thread that had joined is queued until it goes on",
                 "[actors]") {
  const auto begin = unix_ms()();
  script->silent = {"/1"};
  submit();
  advance(10s);
  script->silent = {"/"}; // it joins and decodes on
  self->send(pool, atom::step_v);
  run();
  advance(10s);
  crash();
  advance(30s);
  const auto t = continue_tree();
  CHECK(history_of(t, "/", begin)
        == "decoding 0, waiting 0, decoding 10, queued 10, decoding 50, done 50, ");
}

} // namespace
} // namespace banyan
