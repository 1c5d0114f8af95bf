#pragma once

#include "actors/interfaces.hpp"
#include "trainer/tree_store.hpp"

#include <functional>
#include <string_view>

#include <caf/fwd.hpp>

namespace banyan {

struct store_actor_options {
  std::function<retention()> keep; ///< asked now and then; null: everything is kept
  /// What went wrong, one line each, and the tree that it is about, if it is about one; an outage
  /// is told once. May be null.
  std::function<void(std::string_view line, std::string_view tree)> log;
  /// Told on the store's OS thread why a batch could not be written, and, with an empty text, that
  /// as large a one can be again: the store tries that by itself. Smaller ones may be written
  /// meanwhile. May be null.
  std::function<void(const std::string& trouble)> on_trouble;
};

/// Starts the store on its own OS thread; `detached` false is for tests under a deterministic
/// scheduler. What comes while a commit is on its way to the disk goes into the next one, so many
/// clients cost few commits. A commit that fails is answered with `not_stored`; the store goes on,
/// and tries every few seconds whether it can write again.
tree_store_actor spawn_store(caf::actor_system&, tree_store, store_actor_options,
                             bool detached = true);

} // namespace banyan
