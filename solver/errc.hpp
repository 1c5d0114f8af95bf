#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace banyan {

/// Every way in which reasoning can go wrong, one sentence each. The first eight are the typed
/// failures of a thread or a tree (docs/interfaces.md); the rest are answers of an actor that did
/// not begin.
enum class errc : std::uint8_t {
  none = 0,
  no_solution,  ///< The thread searched and says itself that it found nothing.
  cancelled,    ///< Somebody ended it: a user, a client that left, a join that no longer needs it.
  deadline,     ///< Its time was over.
  budget_spent, ///< Threads, depth, rounds or tokens of the budget are used up.
  context_full, ///< The text no longer fits the model's context.
  malformed_spawn, ///< The text asks for children in a way that cannot be read.
  child_lost,      ///< The thread's actor died.
  pool_lost,       ///< No pool could be found that decodes for it.
  pool_full,       ///< The pool's queue is at its limit; try again later.
  bad_request,     ///< The request itself makes no sense: no tokens, unknown token, zero limit.
  not_stored,      ///< The store could not keep it, so it does not count as accepted or done.
  not_found,       ///< There is no such tree or thread.
  bad_weights,     ///< New weights cannot be read, do not fit, or are not newer; or no token can be
                   ///< sampled from them.
  no_weights,      ///< The pool does not have the weights that the request is pinned to.
};

inline constexpr auto last_errc = errc::no_weights;

/// The name used in JSON, logs and records, e.g. "context_full"; "none" for `errc::none`.
std::string_view to_string(errc);

/// The inverse of `to_string`; nothing for a name that is not one.
std::optional<errc> errc_from(std::string_view name);

} // namespace banyan
