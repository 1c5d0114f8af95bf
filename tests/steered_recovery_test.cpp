#include "tests/recovering_node.hpp"

#include <algorithm>

namespace banyan {
namespace {

using namespace std::chrono_literals;

TEST_CASE_METHOD(recovering_node, "what was resumed runs after a restart", "[actors]") {
  const auto part = GENERATE(as<std::string>{}, "/", "/0");
  script->silent = {part, "/1"};
  submit();
  for (const auto action : {tree_action::pause, tree_action::resume})
    REQUIRE(ask<tree_status>(aut, steer_request{action, "t", part}));
  crash();
  CHECK(continue_tree().outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a part that was paused is paused after a restart", "[actors]") {
  script->silent = {"/0", "/1"};
  submit();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/0"}));
  CHECK(kept->unfinished("t").halted == halted_paths{"/0"});
  crash();
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  break_silence();
  CHECK(kept->finished.empty());
  const auto seen = ask<tree_status>(aut, tree_request{"t"});
  CHECK(seen->value->find("/0")->phase == thread_phase::paused);
  CHECK(ended(seen->value->find("/1")->phase));
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/0"}));
  CHECK(kept->finished.size() == 1);
}

TEST_CASE_METHOD(recovering_node, "a part that was cancelled is so after a restart", "[actors]") {
  script->silent = {"/0", "/1"};
  submit();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::cancel, "t", "/0"}));
  crash();
  CHECK(continue_tree().find("/0")->failure == errc::cancelled);
}

TEST_CASE_METHOD(recovering_node,
                 "a part that the store does not know to be paused is not said to be", "[actors]") {
  script->silent = {"/0"};
  auto reply = submit();
  kept->fails = true;
  const auto answer = ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/0"});
  CHECK(errc_of(answer.error(), errc::none) == errc::not_stored);
  kept->fails = false;
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/0"}));
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a paused tree is paused after a restart", "[actors]") {
  script->silent = {"/"};
  submit();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"}));
  crash();
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  break_silence();
  const auto seen = ask<tree_status>(aut, tree_request{"t"});
  REQUIRE(seen);
  CHECK(seen->value->phase == tree_phase::paused);
  CHECK(kept->finished.empty());
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/"}));
  CHECK(kept->finished.size() == 1);
}

TEST_CASE_METHOD(recovering_node, "nobody is told of a pause that is not stored", "[actors]") {
  script->silent = {"/"};
  submit();
  kept->fails = true;
  const auto pause = ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"});
  CHECK(errc_of(pause.error(), errc::none) == errc::not_stored);
  kept->fails = false;
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/"}));
  break_silence();
  CHECK(kept->finished.size() == 1);
}

TEST_CASE_METHOD(recovering_node, "a waiting tree is cancelled when the store knows", "[actors]") {
  end(aut);
  aut = start(1);
  script->silent = {"/"};
  auto first = submit();
  request.id = "u";
  REQUIRE(ask<accepted_tree>(aut, accept_request{request}));
  kept->fails = true;
  const auto in_vain = ask<tree_status>(aut, steer_request{tree_action::cancel, "u", "/"});
  CHECK(errc_of(in_vain.error(), errc::none) == errc::not_stored);
  CHECK(ask<node_status>(aut, atom::status_v)->queued == 1); // it waits on
  const auto pause = ask<tree_status>(aut, steer_request{tree_action::pause, "u", "/"});
  CHECK(errc_of(pause.error(), errc::none) == errc::not_stored);
  kept->fails = false;
  CHECK(ask<tree_status>(aut, steer_request{tree_action::cancel, "u", "/"})->value->phase
        == tree_phase::cancelled);
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->id == "u");
  break_silence();
  CHECK(take<finished_tree>(first)->value->outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a paused tree was paused while there was no daemon",
                 "[actors]") {
  const auto begin = unix_ms()();
  script->silent = {"/"};
  script->sampled_when_cancelled = 20;
  submit();
  advance(10s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"}));
  advance(10s);
  crash();
  advance(30s);
  aut = start();
  self->send(aut, kept->unfinished("t"));
  run();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/"}));
  break_silence();
  REQUIRE(kept->finished.size() == 1);
  const auto history = history_of(*kept->finished.front().value, "/", begin);
  CHECK(history.starts_with("decoding 0, paused 10, queued 50, decoding 50, "));
}

TEST_CASE_METHOD(recovering_node, "a paused tree leaves its place to another", "[actors]") {
  const auto narrow = narrow_node();
  script->silent = {"/"};
  request.id = "a";
  auto a = self->request(narrow, caf::infinite, request);
  run();
  request.id = "b";
  auto b = self->request(narrow, caf::infinite, request);
  run();
  CHECK(script->requests.size() == 1);
  REQUIRE(ask<tree_status>(narrow, steer_request{tree_action::pause, "a", "/"}));
  CHECK(script->requests.size() == 2);
  CHECK(ask<node_status>(narrow, atom::status_v)->paused == 1);
  break_silence();
  CHECK(take<finished_tree>(b)->value->id == "b");
  REQUIRE(ask<tree_status>(narrow, steer_request{tree_action::resume, "a", "/"}));
  CHECK(take<finished_tree>(a)->value->id == "a");
  self->send(narrow, atom::drain_v);
  run();
}

TEST_CASE_METHOD(recovering_node, "a tree that is resumed and begins at once is told to run",
                 "[actors]") {
  end(aut);
  aut = start(1);
  script->silent = {"/"};
  request.id = "a";
  submit();
  request.id = "b";
  auto reply = submit();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "b", "/"}));
  break_silence(); // "a" ends: nothing is left but "b"
  script->silent = {"/"};
  const auto seen = ask<tree_status>(aut, steer_request{tree_action::resume, "b", "/"});
  REQUIRE(seen);
  CHECK(seen->value->phase == tree_phase::running);
  CHECK(kept->unfinished("b").halted.empty()); // and the store knows
  break_silence();
  CHECK(take<finished_tree>(reply)->value->outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a pause that the session refuses pauses nothing", "[actors]") {
  script->silent = {"/"};
  submit();
  kept->fails = true;
  break_silence(); // it is over, and cannot be stored
  const auto pause = ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"});
  CHECK(errc_of(pause.error(), errc::none) == errc::not_stored);
  const auto now = *ask<node_status>(aut, atom::status_v);
  CHECK(now.paused == 0);
  CHECK(now.running == 1);
  CHECK(now.finished == 0); // nor has it ended, for everybody else
  kept->fails = false;
  advance(1s);
  CHECK(ask<node_status>(aut, atom::status_v)->finished == 1);
}

TEST_CASE_METHOD(recovering_node, "watchers hear of trees that wait", "[actors]") {
  const auto narrow = narrow_node();
  script->silent = {"/"};
  request.id = "a";
  caf::anon_send(narrow, accept_request{request});
  request.id = "b";
  caf::anon_send(narrow, accept_request{request});
  const auto all = events->subscribe("b", 0, [] {});
  run();
  REQUIRE(ask<tree_status>(narrow, steer_request{tree_action::pause, "b", "/"}));
  REQUIRE(ask<tree_status>(narrow, steer_request{tree_action::cancel, "b", "/"}));
  std::vector<std::string> states;
  const auto told = all->take();
  for (const auto& e : told) states.push_back(std::string(to_string(e.what)) + " " + e.state);
  CHECK(
      states
      == std::vector<std::string>{"tree queued", "thread paused", "tree paused", "done cancelled"});
  CHECK(told.back().failure == errc::cancelled);
  REQUIRE(told.back().outcome);
  CHECK_FALSE(told.back().outcome->claimed);
  break_silence();
  self->send(narrow, atom::drain_v);
  run();
}

TEST_CASE_METHOD(recovering_node, "a full queue refuses", "[actors]") {
  const auto narrow = narrow_node(1);
  script->silent = {"/"};
  request.id = "";
  auto a = self->request(narrow, caf::infinite, request);
  auto b = self->request(narrow, caf::infinite, request);
  run();
  const auto c = ask<finished_tree>(narrow, request);
  CHECK(errc_of(c.error(), errc::none) == errc::pool_full);
  break_silence();
  CHECK(take<finished_tree>(a)->value->outcome.solved);
  CHECK(take<finished_tree>(b)->value->outcome.solved);
  self->send(narrow, atom::drain_v);
  run();
}

} // namespace
} // namespace banyan
