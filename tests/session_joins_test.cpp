#include "tests/session_system.hpp"
#include "tests/stored_trees.hpp"

#include <algorithm>

namespace banyan {
namespace {

using namespace std::chrono_literals;
using kind = join_policy::kind;

/// Three children with the same prompt.
const std::string spawn_three = "<Calling Sub Searches>\n"
                                "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                                "<Start Sub Search 1 at level 1> Moving to Node #0,1\n"
                                "<Start Sub Search 2 at level 1> Moving to Node #0,1\n"
                                "<End Calling Sub Searches>\n";

struct three_children : session_system {
  three_children() {
    script->lines = {{"/", {texts::expansion + spawn_three, texts::conclusion}},
                     {"/0", {texts::good_child}},
                     {"/1", {texts::good_child}},
                     {"/2", {texts::good_child}}};
  }
};

// ---- joins ----

TEST_CASE_METHOD(session_system, "the first success cancels the others", "[actors]") {
  request.join = {kind::first_success};
  script->silent = {"/1"};
  const auto t = solve();
  CHECK(t.outcome.solved);
  CHECK(t.find("/1")->phase == thread_phase::cancelled);
  CHECK_FALSE(t.find("/1")->awaited);
  CHECK(t.find("/0")->awaited);
  CHECK(script->cancelled == std::vector<std::string>{"/1"});
}

TEST_CASE_METHOD(session_system, "losers are cancelled with all below them", "[actors]") {
  request.join = {kind::first_success};
  request.budget.max_depth = 2;
  script->lines["/"].front() = texts::expansion + spawn_three;
  script->lines["/0"] = {texts::nested_spawn, texts::good_child};
  script->lines["/1"] = {texts::nested_spawn, texts::good_child};
  script->lines["/2"] = {texts::good_child};
  script->silent = {"/0/0", "/1/0", "/2"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  script->silent.erase("/2");
  self->send(pool, atom::step_v);
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  for (const auto* path : {"/0", "/0/0", "/1", "/1/0"})
    CHECK(t.find(path)->phase == thread_phase::cancelled);
  CHECK(board->size() == 0);
}

TEST_CASE_METHOD(session_system, "the critical path counts what the join waited for", "[actors]") {
  request.join = {kind::first_success};
  request.budget.max_depth = 2;
  std::string long_way;
  for (int i = 0; i < 50; ++i) long_way += texts::bad_step;
  script->lines["/1"] = {long_way + texts::bad_spawn};
  script->silent = {"/0", "/1/0"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  script->silent.erase("/0");
  self->send(pool, atom::step_v);
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.find("/1")->generated_tokens() > 10 * t.find("/0")->generated_tokens());
  CHECK_FALSE(t.find("/1")->awaited);
  CHECK(t.usage().critical_path_tokens
        == t.root().generated_tokens() + t.find("/0")->generated_tokens());
}

TEST_CASE_METHOD(three_children, "two of three are enough where two are asked for", "[actors]") {
  request.join = {kind::k_of_n, 2};
  script->silent = {"/1"};
  const auto t = solve();
  CHECK(t.outcome.solved);
  CHECK(t.find("/1")->phase == thread_phase::cancelled);
  CHECK(t.find("/2")->phase == thread_phase::done);
}

TEST_CASE_METHOD(three_children, "one of three is not enough where two are asked for", "[actors]") {
  request.join = {kind::k_of_n, 2};
  script->silent = {"/1", "/2"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  CHECK(board->snapshot_of("t").size() == 3);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(session_system, "a join with a deadline goes on with what has come", "[actors]") {
  request.join = {kind::deadline, 1, 5.0};
  script->silent = {"/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  advance(4s);
  CHECK(board->snapshot_of("t").size() == 2);
  advance(1s);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK_FALSE(t.find("/1")->awaited);
  CHECK_THAT(t.root().text(), Catch::Contains("<No Solution in Sub Search 1"));
}

TEST_CASE_METHOD(session_system, "a join with a deadline needs no deadline when all have come",
                 "[actors]") {
  request.join = {kind::deadline, 1, 5.0};
  const auto t = solve(); // virtual time stands still
  CHECK(t.outcome.solved);
  CHECK(t.find("/1")->awaited);
}

} // namespace
} // namespace banyan
