#include "tests/recovering_node.hpp"

namespace banyan {
namespace {

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

/// As a pool dies: whatever it has is answered first.
struct losing_node : recovering_node {
  void lose_pool() {
    script->lost = true;
    script->silent.clear();
    self->send(pool, atom::step_v);
    end(pool);
  }
};

TEST_CASE_METHOD(losing_node, "trees that no pool is left for go on after the next start",
                 "[actors]") {
  end(aut);
  aut = start(1);
  script->silent = GENERATE(as<std::set<std::string>>{}, std::set<std::string>{"/"},
                            std::set<std::string>{"/1"});
  auto first = submit();
  request.id = "u";
  auto second = submit();
  lose_pool();
  for (auto* reply : {&first, &second}) CHECK_FALSE(take<finished_tree>(*reply));
  CHECK(kept->finished.empty());
  CHECK(ask<node_status>(aut, atom::status_v)->running == 0);
  request.id = "v";
  CHECK(errc_of(ask<accepted_tree>(aut, accept_request{request}).error(), errc::none)
        == errc::pool_lost);
  self->send(aut, atom::park_v);
  run();
  script->lost = false;
  pool = sys.spawn(scripted_pool, script);
  pools = {{"scripted:0", pool}};
  CHECK(continue_tree("t").outcome.solved);
  self->send(aut, kept->unfinished("u"));
  run();
  CHECK(kept->finished.size() == 2);
}

TEST_CASE_METHOD(losing_node, "trees that the store need not keep fail with the last pool",
                 "[actors]") {
  request.stored_at_best = true;
  script->silent = {"/1"};
  end(aut);
  aut = start(1);
  auto first = submit();
  request.id = "u";
  auto second = submit();
  lose_pool();
  for (auto* reply : {&first, &second})
    CHECK(take<finished_tree>(*reply)->value->failure == errc::pool_lost);
  request.id = "v";
  auto third = submit();
  CHECK(errc_of(take<finished_tree>(third).error(), errc::none) == errc::pool_lost);
}

TEST_CASE_METHOD(recovering_node, "a parked node leaves at once where nothing runs", "[actors]") {
  self->send(aut, atom::park_v);
  run();
  aut = nullptr;
  CHECK(running() == 2); // pool and store
}

} // namespace
} // namespace banyan
