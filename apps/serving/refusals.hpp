#pragma once

#include "apps/serving/forest.hpp"

#include <string>

#include <caf/fwd.hpp>

namespace banyan {

// What a client is told where the forest says no, each with its remedy. Private to the daemon's own
// forest.

/// `field`: the part of a request at fault, or nothing.
refusal refused(refusal::kind, std::string message, std::string field = {});

refusal no_such_tree(const std::string& id);

/// What an actor's error means to a client.
refusal refusal_of(const caf::error&);

} // namespace banyan
