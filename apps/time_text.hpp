#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

/// "2026-11-22T09:30:00.123Z"
std::string time_text(std::int64_t unix_ms);

/// "2026-11-22T09:30:00.123Z", "2026-11-22T10:30:00+01:00" or "1795339800.123" in Unix
/// milliseconds.
std::optional<std::int64_t> parse_time(std::string_view);

} // namespace banyan
