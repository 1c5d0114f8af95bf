#include "tests/recovering_node.hpp"

#include <algorithm>

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

TEST_CASE_METHOD(recovering_node, "a request is answered as soon as it is stored", "[actors]") {
  script->silent = {"/"};
  const auto accepted = ask<accepted_tree>(aut, accept_request{request});
  REQUIRE(accepted);
  CHECK(accepted->id == "t");
  REQUIRE(kept->accepted.size() == 1);
  break_silence();
  CHECK(kept->finished.size() == 1);
}

TEST_CASE_METHOD(recovering_node, "what cannot be stored is not accepted", "[actors]") {
  kept->fails = true;
  const auto accepted = ask<accepted_tree>(aut, accept_request{request});
  CHECK(errc_of(accepted.error(), errc::none) == errc::not_stored);
  CHECK(script->requests.empty()); // and not begun
  auto reply = submit();
  CHECK(errc_of(take<finished_tree>(reply).error(), errc::none) == errc::not_stored);
  CHECK(script->requests.empty());
  kept->fails = false;
  advance(5s);
  CHECK(kept->finished.empty()); // nor kept
}

TEST_CASE_METHOD(recovering_node, "a tree can be cancelled before the store has it", "[actors]") {
  const bool by_hand = GENERATE(true, false);
  script->silent = {"/"};
  auto reply = self->request(aut, caf::infinite, request);
  if (by_hand)
    caf::anon_send(aut, steer_request{tree_action::cancel, "t", "/"});
  else
    caf::anon_send(aut, cancel_request{"t"});
  run();
  CHECK(take<finished_tree>(reply)->value->failure == errc::cancelled);
}

TEST_CASE_METHOD(recovering_node, "an id is taken as soon as it is asked for", "[actors]") {
  auto first = self->request(aut, caf::infinite, accept_request{request});
  auto second = self->request(aut, caf::infinite, accept_request{request});
  run();
  CHECK(take<accepted_tree>(first));
  const auto refused = take<accepted_tree>(second);
  REQUIRE_FALSE(refused);
  CHECK(errc_of(refused.error(), errc::none) == errc::bad_request);
  REQUIRE(refused.error().context().match_elements<std::string>());
  CHECK(refused.error().context().get_as<std::string>(0) == "id: t: it is taken");
  CHECK(kept->accepted.size() == 1);
  CHECK(kept->finished.size() == 1);
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

TEST_CASE_METHOD(recovering_node, "what cannot be stored does not wait for its turn", "[actors]") {
  end(aut);
  aut = start(1);
  script->silent = {"/"};
  auto first = submit();
  kept->fails = true;
  request.id = "u";
  auto second = submit();
  CHECK(errc_of(take<finished_tree>(second).error(), errc::none) == errc::not_stored);
  CHECK(ask<node_status>(aut, atom::status_v)->queued == 0);
  kept->fails = false;
  break_silence();
  CHECK(take<finished_tree>(first)->value->outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a tree whose end could not be stored is stored later",
                 "[actors]") {
  script->silent = {"/1"};
  const auto watching = events->subscribe("t", 0, [] {});
  const auto end_is_told = [&] {
    const auto news = watching->take();
    return std::ranges::any_of(news, [](auto& e) { return e.what == tree_event::kind::done; });
  };
  auto reply = submit();
  kept->fails = true;
  break_silence();
  CHECK(errc_of(take<finished_tree>(reply).error(), errc::none) == errc::not_stored);
  const auto seen = ask<tree_status>(aut, tree_request{"t"})->value;
  CHECK(seen->phase == tree_phase::running); // nobody hears of an end that may be lost
  CHECK(seen->finished_ms == 0);
  CHECK_FALSE(end_is_told());
  const auto cancelled = ask<tree_status>(aut, steer_request{tree_action::cancel, "t", "/"});
  CHECK(errc_of(cancelled.error(), errc::none) == errc::not_stored);
  advance(5s);
  CHECK(kept->finished.empty());
  kept->fails = false;
  advance(1s);
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->outcome.solved);
  CHECK(end_is_told());
  CHECK(ask<node_status>(aut, atom::status_v)->finished == 1);
}

TEST_CASE_METHOD(recovering_node, "a tree that cannot be stored does not hold up the end",
                 "[actors]") {
  script->silent = {"/1"};
  submit();
  kept->fails = true;
  break_silence();
  self->send(aut, atom::park_v);
  run();
  aut = nullptr;
  CHECK(running() == 2); // pool and store
  kept->fails = false;
  CHECK(continue_tree().outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a parked tree goes on from the last token", "[actors]") {
  script->silent = {"/"};
  script->sampled_when_cancelled = 20;
  auto reply = submit();
  self->send(aut, atom::park_v);
  run();
  aut = nullptr;
  CHECK_FALSE(take<finished_tree>(reply));
  REQUIRE(kept->unfinished("t").past.size() == 1);
  CHECK(kept->unfinished("t").past.front().generated_tokens() == 20);
  CHECK(kept->finished.empty());
  script->requests.clear();
  CHECK(continue_tree().outcome.solved);
  CHECK(script->requests.front().ids.size() == 1 + texts::prompt.size() + 20);
}

TEST_CASE_METHOD(session_system, "a child that is born while its tree is parked is parked too",
                 "[actors]") {
  script->silent = {"/"};
  auto session = begin();
  auto reply = self->request(session, caf::infinite, work());
  run();
  script->silent = {"/0", "/1"};
  self->send(pool, atom::step_v);
  scheduler().try_run_once(); // the root has its answer and has not read it
  self->send(session, atom::park_v);
  session = nullptr;
  run();
  CHECK(script->requests.size() == 3);
  CHECK(running() == 1); // the pool: nobody waited for the children's text
  CHECK_FALSE(take<finished_tree>(reply));
}

TEST_CASE_METHOD(recovering_node, "a node that closes begins no tree and keeps those that wait",
                 "[actors]") {
  end(aut);
  aut = start(1);
  script->silent = {"/"};
  auto first = submit();
  request.id = "u";
  auto second = submit();
  self->send(aut, atom::close_v);
  run();
  CHECK_FALSE(take<finished_tree>(second)); // who waits is told at once
  request.id = "v";
  CHECK(errc_of(ask<accepted_tree>(aut, accept_request{request}).error(), errc::none)
        == errc::cancelled);
  break_silence();
  CHECK(take<finished_tree>(first)->value->outcome.solved); // what runs goes on
  CHECK(script->requests.size() == 4);
  const auto now = *ask<node_status>(aut, atom::status_v);
  CHECK(now.running == 0);
  CHECK(now.queued == 1);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "u", "/"}));
  CHECK(ask<tree_status>(aut, steer_request{tree_action::resume, "u", "/"})->value->phase
        == tree_phase::queued);
  CHECK(script->requests.size() == 4);
  self->send(aut, atom::park_v);
  run();
  CHECK(continue_tree("u").outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a tree that cannot go on is not waited for at the end",
                 "[actors]") {
  const bool before = GENERATE(true, false);
  const auto part = GENERATE(as<std::string>{}, "/", "/0");
  script->silent = {"/0", "/1"};
  auto reply = submit();
  const auto pause = [&] {
    REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", part}));
  };
  if (before) pause();
  self->send(aut, atom::close_v);
  run();
  if (!before) pause();
  const auto running = [&] { return ask<node_status>(aut, atom::status_v)->running; };
  if (part == "/0") {
    CHECK(running() == 1); // "/1" goes on
    break_silence();
  }
  CHECK(running() == 0);
  CHECK_FALSE(take<finished_tree>(reply));
  CHECK(kept->finished.empty());
  self->send(aut, atom::park_v);
  run();
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  break_silence();
  CHECK(kept->finished.empty()); // it is still paused
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", part}));
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a parked node leaves at once where nothing runs", "[actors]") {
  self->send(aut, atom::park_v);
  run();
  aut = nullptr;
  CHECK(running() == 2); // pool and store
}

TEST_CASE_METHOD(recovering_node, "what another version took and nobody can begin is left alone",
                 "[actors]") {
  request.problem = {{1, 2}, -1};
  self->send(aut, work());
  run();
  CHECK(ask<node_status>(aut, atom::status_v)->queued == 0);
  CHECK(errc_of(ask<tree_status>(aut, steer_request{tree_action::cancel, "t", "/"}).error(),
                errc::none)
        == errc::not_found);
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
