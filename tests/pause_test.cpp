#include "tests/pausing_session.hpp"

#include <algorithm>
#include <optional>
#include <set>

namespace banyan {
namespace {

using namespace std::chrono_literals;

TEST_CASE_METHOD(pausing_session, "a paused thread keeps what was sampled and goes on from there",
                 "[actors]") {
  script->silent = {"/"};
  script->sampled_when_cancelled = 20;
  auto reply = solve();
  CHECK(steer(tree_action::pause).phase == tree_phase::paused);
  CHECK(phase_of("/") == thread_phase::paused);
  CHECK(script->cancelled == std::vector<std::string>{"/"});
  break_silence();
  CHECK(script->requests.size() == 1); // nobody decodes for a paused thread

  CHECK(steer(tree_action::resume).phase == tree_phase::running);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.root().segments[1].text == texts::expansion);
  const auto& first = script->requests[0].ids;
  CHECK(script->requests[1].ids.size() == first.size() + 20);
}

TEST_CASE_METHOD(pausing_session, "a request that was broken off before a token counts once",
                 "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  for (int i = 0; i < 3; ++i) {
    steer(tree_action::pause);
    steer(tree_action::resume);
  }
  break_silence();
  const auto t = finished(take<finished_tree>(reply));
  const auto& asked = script->requests;
  CHECK(t.root().prompt_tokens == asked.front().ids.size() + asked.back().ids.size());
}

TEST_CASE_METHOD(pausing_session, "a thread that a full pool sent away asks once after a pause",
                 "[actors]") {
  script->lines["/"] = {texts::conclusion};
  script->silent = {"/"};
  script->times_full = 1;
  auto reply = solve();
  CHECK(board->snapshot().at(0).phase == thread_phase::queued); // it will ask again
  steer(tree_action::pause);
  steer(tree_action::resume);
  CHECK(script->requests.size() == 2); // at once
  advance(10ms);
  CHECK(script->requests.size() == 2); // and not when it would have
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "time stands still for a paused tree", "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  advance(50s);
  steer(tree_action::pause);
  script->silent.clear();
  for (int i = 0; i < 200; ++i) advance(1s);
  CHECK(phase_of("/") == thread_phase::paused);
  script->silent = {"/"};
  steer(tree_action::resume);
  advance(8s); // 58 of 60 seconds
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "a paused tree wakes nobody", "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  steer(tree_action::pause);
  advance(2s); // what was on its way
  scheduler().advance_time(5s);
  CHECK_FALSE(scheduler().try_run_once());
  steer(tree_action::resume);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "a resumed tree has only the time that was left", "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  advance(50s);
  steer(tree_action::pause);
  for (int i = 0; i < 100; ++i) advance(1s);
  steer(tree_action::resume);
  for (int i = 0; i < 12; ++i) advance(1s);
  CHECK(finished(take<finished_tree>(reply)).failure == errc::deadline);
}

TEST_CASE_METHOD(pausing_session, "a child is paused alone, and its siblings go on", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  CHECK(steer(tree_action::pause, "/1").phase == tree_phase::running);
  break_silence();
  CHECK(phase_of("/1") == thread_phase::paused);
  CHECK(phase_of("/0") == thread_phase::done);
  CHECK(phase_of("/") == thread_phase::waiting);
  steer(tree_action::resume, "/1");
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.find("/1")->failure == errc::no_solution);
}

TEST_CASE_METHOD(pausing_session, "a resumed tree goes on with its parts that were paused alone",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  steer(tree_action::pause, "/1");
  break_silence();
  CHECK(phase_of("/1") == thread_phase::paused);
  for (int i = 0; i < 50; ++i) advance(1s); // of 60: the tree itself was not paused
  steer(tree_action::resume);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.wall_ms == Approx(50'000));
}

TEST_CASE_METHOD(pausing_session, "a parent that is paused while it waits joins after the pause",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  steer(tree_action::pause);
  for (const auto path : {"/", "/0", "/1"}) CHECK(phase_of(path) == thread_phase::paused);
  break_silence();
  steer(tree_action::resume);
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "children of a paused parent begin paused", "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  // The pool has the whole stage when it is told to break off: the spawn block is read.
  script->sampled_when_cancelled = 100000;
  steer(tree_action::pause);
  CHECK(phase_of("/") == thread_phase::paused);
  CHECK(phase_of("/0") == thread_phase::paused);
  CHECK(script->requests.size() == 1);
  script->silent.clear();
  steer(tree_action::resume);
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "a part of a paused tree does not go on alone", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  steer(tree_action::pause);
  const auto refused = ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/0"});
  CHECK(errc_of(refused.error(), errc::none) == errc::bad_request);
  steer(tree_action::cancel);
  CHECK(finished(take<finished_tree>(reply)).phase == tree_phase::cancelled);
}

TEST_CASE_METHOD(pausing_session, "a part that was paused before its tree waits for the tree",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  steer(tree_action::pause, "/0");
  steer(tree_action::pause);
  const auto alone = ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/0"});
  CHECK(errc_of(alone.error(), errc::none) == errc::bad_request);
  CHECK(phase_of("/0") == thread_phase::paused);
  steer(tree_action::resume);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "the seconds left are those of the tree's time", "[actors]") {
  script->silent = {"/"};
  auto reply = solve();
  const auto left = [&] { return ask<thread_status>(aut, thread_request{"t", "/"})->seconds_left; };
  advance(20s);
  steer(tree_action::pause);
  advance(100s);
  CHECK(left() == Approx(40));
  steer(tree_action::resume);
  advance(10s);
  CHECK(left() == Approx(30));
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "a child that may not begin is told with its prompt",
                 "[actors]") {
  request.budget.max_threads = 2;
  const auto watcher = events->subscribe("t", 0, [] {});
  auto reply = solve();
  std::string told;
  for (const auto& e : watcher->take())
    if (e.thread == "/1") told += std::string(to_string(e.what)) + " " + e.state + " " + e.text;
  CHECK(told == "thread failed text failed " + texts::bad_prompt);
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "nobody steers a thread that is not there or has ended",
                 "[actors]") {
  script->silent = {"/1"};
  auto reply = solve();
  const auto why = [&](const std::string& thread) {
    return errc_of(ask<tree_status>(aut, steer_request{tree_action::pause, "t", thread}).error(),
                   errc::none);
  };
  CHECK(why("/7") == errc::not_found);
  CHECK(why("/0") == errc::bad_request);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "what was sampled before a cancel is in the tree", "[actors]") {
  script->silent = {"/"};
  script->sampled_when_cancelled = 20;
  auto reply = solve();
  const auto seen = steer(tree_action::cancel); // who cancels sees how the tree ended
  CHECK(seen.phase == tree_phase::cancelled);
  CHECK(seen.failure == errc::cancelled);
  CHECK(seen.root().generated_tokens() == 20);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.phase == tree_phase::cancelled);
  CHECK(t.usage().generated_tokens == 20);
  CHECK(texts::expansion.starts_with(t.root().segments.at(1).text));
}

TEST_CASE_METHOD(session_system, "a pool that hangs holds a cancelled thread up for ten seconds",
                 "[actors]") {
  caf::actor_addr hung;
  const auto mute = sys.spawn([](pool_actor::pointer self) -> pool_actor::behavior_type {
    return {
        [self](const decode_request&) -> caf::result<decode_reply> {
          return self->make_response_promise<decode_reply>();
        },
        [](const decode_cancel&) {},
        [](const decode_watch&) {},
        [](const sequence_request&) { return sequence_status{}; },
        [](const lease_release&) {},
        [](const weights_ready&) { return weights_taken{}; },
        [](atom::status) { return pool_status{}; },
        [](atom::step) {},
    };
  });
  pools = {{"mute", mute}};
  auto aut = begin();
  auto reply = self->request(aut, caf::infinite, work());
  run();
  self->send(aut, cancel_request{"t", "/"});
  run();
  advance(9s);
  CHECK(ask<tree_status>(aut, tree_request{"t"})->value->phase == tree_phase::running);
  advance(1s);
  CHECK(finished(take<finished_tree>(reply)).failure == errc::cancelled);
  pools.clear();
  end(mute);
}

TEST_CASE_METHOD(pausing_session, "who cancels a child hears when all below it has ended",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = solve();
  const auto seen = steer(tree_action::cancel, "/1");
  CHECK(seen.phase == tree_phase::running);
  CHECK(seen.find("/1")->phase == thread_phase::cancelled);
  CHECK(seen.find("/0")->phase == thread_phase::decoding);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "who pauses a tree whose pool is slow hears after a second",
                 "[actors]") {
  script->silent = {"/"};
  script->slow_to_cancel = {"/"};
  auto reply = solve();
  auto steered = self->request(aut, caf::infinite, steer_request{tree_action::pause, "t", "/"});
  run();
  advance(900ms);
  CHECK(board->snapshot_of("t").front().phase == thread_phase::decoding);
  advance(200ms);
  CHECK(take<tree_status>(steered)->value->phase == tree_phase::paused);
  script->slow_to_cancel.clear();
  steer(tree_action::resume);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(pausing_session, "a join's time stands still while its tree is paused",
                 "[actors]") {
  request.join = {join_policy::kind::deadline, 1, 5.0};
  script->silent = {"/1"};
  auto reply = solve();
  advance(3s);
  steer(tree_action::pause);
  for (int i = 0; i < 20; ++i) advance(1s);
  steer(tree_action::resume);
  advance(1900ms);
  CHECK(phase_of("/") == thread_phase::waiting);
  advance(200ms); // 5.1 of 5 seconds
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK_FALSE(t.find("/1")->awaited);
}

TEST_CASE_METHOD(pausing_session, "a pause while tokens are asked for leaves one request",
                 "[actors]") {
  request.budget.max_tree_tokens = 100000;
  script->silent = {"/"};
  auto reply = self->request(aut, caf::infinite, work());
  // Both are with the session before the thread asks it.
  auto pause = self->request(aut, caf::infinite, steer_request{tree_action::pause, "t", "/"});
  auto resume = self->request(aut, caf::infinite, steer_request{tree_action::resume, "t", "/"});
  run();
  CHECK(take<tree_status>(pause));
  CHECK(take<tree_status>(resume));
  CHECK(script->requests.size() == 1);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

} // namespace
} // namespace banyan
