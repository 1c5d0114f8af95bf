#pragma once

#include "actors/messages.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace banyan {

/// What a made-up node answers, and what it was told. A test may look at it, or change it, at any
/// time.
struct node_script {
  /// The tree of a request. Nothing: it goes on until a test sends the node a `finished_tree` with
  /// its id, whether it was cancelled or not.
  std::function<std::optional<tree>(const solve_request&)> solve;
  errc refusal = errc::none; ///< of every request
  std::vector<solve_request> asked;
  std::vector<std::string> cancelled; ///< ids
};

/// A node that rolls nothing out: its trees are a test's.
struct made_up_node_state {
  static inline const char* name = "banyan.made_up_node";

  explicit made_up_node_state(node_actor::stateful_pointer<made_up_node_state> self) : self(self) {}

  caf::result<finished_tree> solve(const solve_request& request) {
    script->asked.push_back(request);
    if (script->refusal != errc::none) return script->refusal;
    auto made = script->solve(request);
    if (!made) return running[request.id] = self->make_response_promise<finished_tree>();
    made->id = request.id;
    return finished_tree{std::make_shared<tree>(std::move(*made))};
  }

  void finish(const finished_tree& done) {
    if (auto promise = running.extract(done.value->id)) promise.mapped().deliver(done);
  }

  node_actor::stateful_pointer<made_up_node_state> self;
  std::shared_ptr<node_script> script;
  std::map<std::string, caf::typed_response_promise<finished_tree>> running;
};

inline node_actor::behavior_type made_up_node(node_actor::stateful_pointer<made_up_node_state> self,
                                              std::shared_ptr<node_script> script) {
  auto& state = self->state;
  state.script = std::move(script);
  self->set_default_handler(caf::drop);
  return {
      [&state](const solve_request& r) { return state.solve(r); },
      [](const accept_request&) -> caf::result<accepted_tree> { return errc::bad_request; },
      [](const tree_work&) {},
      [](const tree_boundary&) {},
      [](const tree_state&) { return stored{}; },
      [](const steer_request&) -> caf::result<tree_status> { return errc::not_found; },
      [](const watch_request&) {},
      [&state](const cancel_request& c) { state.script->cancelled.push_back(c.id); },
      [](const tree_request&) -> caf::result<tree_status> { return errc::not_found; },
      [](const thread_request&) -> caf::result<thread_status> { return errc::not_found; },
      [&state](const finished_tree& done) {
        state.finish(done);
        return stored{};
      },
      [](atom::drain) {},
      [](atom::close) {},
      [](atom::park) {},
      [](atom::status) { return node_status{}; },
  };
}

} // namespace banyan
