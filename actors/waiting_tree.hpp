#pragma once

#include "actors/messages.hpp"

#include <cstdint>
#include <vector>

#include <caf/expected.hpp>

namespace banyan {

// A tree that waits for its turn, the first time or after a restart: nobody decodes it, so what it
// is and what becomes of it is said of its work alone. Its request can be planted.

/// The tree with its threads as they were at their last boundaries.
tree shown(const tree_work&);

/// How it ends if its turn never comes.
tree cancelled(const tree_work&, std::int64_t now_ms);

/// Pauses or resumes a thread and all below it, or cancels threads below the root. Returns the
/// records that are other ones now; an error says why it cannot be done.
caf::expected<std::vector<thread_record>> steer(tree_work&, const steer_request&,
                                                std::int64_t now_ms);

} // namespace banyan
