#pragma once

#include "solver/tree.hpp"

#include <cstddef>
#include <string>

namespace banyan {

// Chrome's trace-event format (JSON object form), which Perfetto and chrome://tracing open: a tree
// is a process, each of its threads a track. A track has a slice for the thread's life and, inside
// of it, one for every state it was in (decoding, waiting, …); arrows go from a parent that spawned
// to its children, and from the children that a join waited for back to their parent. Only what is
// on record is drawn: a thread without a history is a mark at the time of its last state, and one
// that was refused is a mark on its parent's track.

inline constexpr auto chrome_trace_begin = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
inline constexpr auto chrome_trace_end = "\n]}\n";

/// The events of one tree, between the two above; several trees are separated by ",\n".
/// `process`: another number for each tree, from 1. Unfinished threads end where the latest state
/// known of the tree began.
std::string chrome_trace_events(const tree&, std::size_t process);

} // namespace banyan
