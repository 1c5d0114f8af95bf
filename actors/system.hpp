#pragma once

#include <cstddef>

#include <caf/fwd.hpp>

namespace banyan {

/// Sets CAF up as Banyan's actors expect it: one shared run queue (stealing polls even when idle),
/// at most 100 messages of an actor in a row, our messages and errors known by name. `workers`: OS
/// threads for actors, 0: as many as cores.
void configure(caf::actor_system_config&, std::size_t workers = 0);

} // namespace banyan
