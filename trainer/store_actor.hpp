#pragma once

#include "actors/interfaces.hpp"
#include "trainer/tree_store.hpp"

#include <functional>
#include <string_view>

#include <caf/fwd.hpp>

namespace banyan {

struct store_actor_options {
  std::function<retention()> keep;           ///< asked now and then; null: everything is kept
  std::function<void(std::string_view)> log; ///< one line each; may be null
};

/// Starts the store on its own OS thread; `detached` false is for tests under a deterministic
/// scheduler. What comes while a commit is on its way to the disk goes into the next one, so many
/// clients cost few commits. A commit that fails is answered with `not_stored`; the store goes
/// on, and the log says when that begins and when it is over.
tree_store_actor spawn_store(caf::actor_system&, tree_store, store_actor_options,
                             bool detached = true);

} // namespace banyan
