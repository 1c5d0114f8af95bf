#pragma once

#include "actors/event_hub.hpp"
#include "solver/tree.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

// Server-sent events as text; docs/interfaces.md.

/// "event: …", "id: …" where `id` is not empty, "data: …", and an empty line.
std::string event_text(std::string_view name, const std::string& id,
                       const nlohmann::ordered_json& data);

/// What is told of an event, a tree's outcome aside.
nlohmann::ordered_json event_data(const tree_event&);

/// How a tree is now, in Unix time: itself, its threads, their texts. A thread's event is from when
/// it entered its state, the others are from now or from the end. Only the last of these events has
/// an id: who has not seen all of them must not go on from there.
std::string snapshot_text(const tree&, const std::string& id, std::int64_t now_ms);

/// The same of these threads' texts alone.
std::string texts_text(const tree&, const std::set<std::string>& threads, const std::string& id,
                       std::int64_t now_ms);

/// The end of a tree that has ended, as an event; `outcome` may be null.
nlohmann::ordered_json done_data(std::int64_t at_ms, const std::string& tree,
                                 std::string_view state, errc failure,
                                 nlohmann::ordered_json outcome);

/// The n of "<stream>-<n>"; 0 for anything else.
std::uint64_t event_number(std::string_view last_event_id, std::string_view stream);

} // namespace banyan
