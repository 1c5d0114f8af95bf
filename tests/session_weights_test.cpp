#include "tests/session_system.hpp"

#include <memory>

namespace banyan {
namespace {

/// A session whose pool shows that it has weights of epoch 6, and takes those of epoch 7 before it
/// decodes.
struct session_of_weights : session_system {
  session_of_weights() {
    auto gauge = std::make_shared<pool_gauge>();
    pool_status now;
    now.weights_epoch = 6;
    gauge->show(now);
    pools = {{"scripted:0", pool, gauge}};
  }

  auto solve_silently(bool recorded) {
    aut = spawn_session(sys, {reasoning(), 1, {}, recorded});
    auto reply = self->request(aut, caf::infinite, work());
    run();
    return reply;
  }

  std::uint32_t shown() { return ask<tree_status>(aut, tree_request{"t"})->value->weights_epoch; }

  session_actor aut;
};

TEST_CASE_METHOD(session_of_weights, "a tree that runs shows the weights that its pool has",
                 "[actors]") {
  script->silent = {"/"};
  auto reply = solve_silently(false);
  CHECK(shown() == 6);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).weights_epoch == 7);
  aut = nullptr;
}

TEST_CASE_METHOD(session_of_weights, "a tree that has spawned shows what sampled its first token",
                 "[actors]") {
  script->silent = {"/0"};
  auto reply = solve_silently(true);
  CHECK(shown() == 7);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).weights_epoch == 7);
  aut = nullptr;
}

TEST_CASE_METHOD(session_of_weights, "a pinned tree shows the weights that it is pinned to",
                 "[actors]") {
  request.weights_epoch = 7;
  script->silent = {"/"};
  auto reply = solve_silently(false);
  CHECK(shown() == 7);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).weights_epoch == 7);
  aut = nullptr;
}

} // namespace
} // namespace banyan
