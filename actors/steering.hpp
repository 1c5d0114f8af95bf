#pragma once

#include "actors/messages.hpp"

#include <string>
#include <string_view>

#include <caf/error.hpp>

namespace banyan {

// What steering a running tree (session) and one that waits for its turn (waiting_tree) share.

/// The thread, or one above it, was paused by hand.
bool is_halted(const halted_paths&, std::string_view path);
bool is_halted_above(const halted_paths&, std::string_view path);
/// The thread, or one below it, was.
bool is_halted_at_or_below(const halted_paths&, std::string_view path);

/// Nothing is paused there any more.
void take_up(halted_paths&, std::string_view path);

caf::error no_thread(const std::string& path);
caf::error no_tree(const std::string& id);

caf::error has_ended(const steer_request&);
caf::error is_part_of_paused(const steer_request&);

} // namespace banyan
