#include "tests/recovering_node.hpp"

#include <algorithm>

namespace banyan {
namespace {

using namespace std::chrono_literals;

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

TEST_CASE_METHOD(recovering_node, "what is stored too late ends in the store", "[actors]") {
  kept->late = true;
  auto reply = self->request(aut, caf::infinite, accept_request{request});
  run();
  advance(59s);
  CHECK(kept->finished.empty());
  advance(2s);
  CHECK(errc_of(take<accepted_tree>(reply).error(), errc::none) == errc::not_stored);
  CHECK(script->requests.empty());
  REQUIRE(kept->finished.size() == 1); // what a start would go on with otherwise
  CHECK(kept->finished.front().value->id == "t");
  CHECK(kept->finished.front().value->failure == errc::cancelled);
  kept->late = false;
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

} // namespace
} // namespace banyan
