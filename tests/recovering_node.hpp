#pragma once

#include "actors/node.hpp"
#include "tests/session_system.hpp"
#include "tests/stored_trees.hpp"

#include <algorithm>
#include <memory>
#include <string>

namespace banyan {

/// A node with a store, and the node that comes after it.
struct recovering_node : session_system {
  std::shared_ptr<stored_trees> kept = std::make_shared<stored_trees>();
  tree_store_actor store = sys.spawn(store_stub, kept);
  node_actor aut = start();

  node_actor start(std::size_t max_running_trees = 64) {
    node_options options;
    options.reasoning = reasoning();
    options.pools = pools;
    options.store = store;
    options.max_running_trees = max_running_trees;
    return spawn_node(sys, std::move(options));
  }

  /// One without a store, that runs one tree at a time.
  node_actor narrow_node(std::size_t max_queued_trees = 8) {
    node_options options;
    options.reasoning = reasoning();
    options.pools = pools;
    options.max_running_trees = 1;
    options.max_queued_trees = max_queued_trees;
    return spawn_node(sys, std::move(options));
  }

  ~recovering_node() {
    if (aut) self->send(aut, atom::drain_v);
    run();
    aut = nullptr;
    end(store);
    store = nullptr;
  }

  /// As if the process had been killed: nobody says a word any more.
  void crash() {
    const auto before = *kept;
    anon_send_exit(aut, caf::exit_reason::kill);
    run();
    // Sessions outlive a killed node in one process; what they say is not heard.
    for (auto& [path, actor] : script->askers)
      if (auto thread = caf::actor_cast<caf::strong_actor_ptr>(actor))
        caf::anon_send_exit(caf::actor_cast<caf::actor>(thread), caf::exit_reason::kill);
    run();
    *kept = before;
    script->askers.clear();
    script->requests.clear();
  }

  /// Starts again and goes on with the tree.
  tree continue_tree(const std::string& id = "t") {
    aut = start();
    self->send(aut, kept->unfinished(id));
    run();
    break_silence();
    const auto done = std::ranges::find_if(
        kept->finished, [&](const finished_tree& t) { return t.value->id == id; });
    if (done == kept->finished.end()) FAIL("the tree was not finished");
    CHECK(done->value->inconsistent().value_or("") == "");
    return *done->value;
  }

  auto submit() {
    auto reply = self->request(aut, caf::infinite, request);
    run();
    return reply;
  }
};

/// Each phase and the second in which it began.
inline std::string history_of(const tree& t, const std::string& path, std::int64_t from_ms) {
  std::string history;
  for (const auto& mark : t.find(path)->history)
    history += std::string(to_string(mark.phase)) + " "
               + std::to_string((mark.at_ms - from_ms) / 1000) + ", ";
  return history;
}

} // namespace banyan
