#pragma once

#include "actors/messages.hpp"

#include <cstdint>
#include <optional>

#include <caf/expected.hpp>

namespace banyan {

/// The tree of a request before anything happened: its root waits. `error` says why a request
/// cannot be solved: a malformed problem, or a prompt that is none.
caf::expected<tree> plant(const solve_request&, std::int64_t created_ms);

/// What is known of a thread whose process is gone, as it is until it goes on: nobody decodes it
/// since its last boundary. A paused one stays paused.
void lay_down(thread_record&);

/// Of the weights that sampled the thread's first token; nothing where it has none.
std::optional<std::uint32_t> first_epoch(const thread_record&);

/// Writes down how a tree ended: its root's end is its own, its outcome is the verifier's word.
void conclude(tree&, std::int64_t finished_ms);

/// A thread does not know its place in the tree: that stays as it is known.
void keep_place(thread_record& now, const thread_record& known);

} // namespace banyan
