#pragma once

#include <cstdint>

namespace banyan {

/// Milliseconds of Unix time, from the system's clock.
std::int64_t unix_ms_now();

} // namespace banyan
