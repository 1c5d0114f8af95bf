#pragma once

#include "tests/session_system.hpp"

#include <string>

namespace banyan {

/// A session whose pool answers nobody until it is told to.
struct pausing_session : session_system {
  session_actor aut = begin();

  ~pausing_session() { aut = nullptr; }

  auto solve() {
    auto reply = self->request(aut, caf::infinite, work());
    run();
    return reply;
  }

  tree steer(tree_action action, const std::string& thread = "/") {
    const auto seen = ask<tree_status>(aut, steer_request{action, "t", thread});
    if (!seen) FAIL(sys.render(seen.error()));
    return *seen->value;
  }

  thread_phase phase_of(const std::string& path) {
    const auto seen = ask<tree_status>(aut, tree_request{"t"});
    return seen->value->find(path)->phase;
  }
};

} // namespace banyan
