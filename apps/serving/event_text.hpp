#pragma once

#include "actors/event_hub.hpp"
#include "solver/errc.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace banyan {

// Server-sent events as text; docs/interfaces.md.

/// "event: …", "id: …", "data: …", and an empty line.
std::string event_text(std::string_view name, const std::string& id,
                       const nlohmann::ordered_json& data);

/// "<stream>-<n>"
std::string event_id(std::string_view stream, std::uint64_t n);

/// Of the end of a story that was told up to event n: "<stream>-<n>.<telling>".
std::string told_id(std::string_view stream, std::uint64_t n, std::uint64_t telling);
/// Of a part in front of it, behind which there is no going on: "<stream>-<n>.<telling>.<part>".
std::string part_id(std::string_view stream, std::uint64_t n, std::uint64_t telling,
                    std::uint64_t part);

/// Where and when something happens: what all events have.
nlohmann::ordered_json event_place(std::int64_t at_ms, const std::string& tree,
                                   const std::string& thread, const std::string& parent,
                                   std::uint64_t position);

/// What is told of an event.
nlohmann::ordered_json event_data(const tree_event&);

/// The end of a tree that has ended, as an event; `outcome` may be null.
nlohmann::ordered_json done_data(std::int64_t at_ms, const std::string& tree,
                                 std::string_view state, errc failure,
                                 nlohmann::ordered_json outcome);

/// The n of an event or of a story's end; 0 for anything else.
std::uint64_t event_number(std::string_view last_event_id, std::string_view stream);

} // namespace banyan
