#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace banyan {

// What a service manager and a daemon tell each other.

/// Tells systemd (sd_notify(3)): "READY=1", "STOPPING=1", "STATUS=…", "WATCHDOG=1". Nothing where
/// no service manager listens.
void notify_manager(const std::string& state);

/// How often the watchdog wants to hear "WATCHDOG=1"; nothing where there is none.
std::optional<std::chrono::milliseconds> watchdog_interval();

/// Becomes another user for good. Throws `bad_usage` for one that there is not, `bad_environment`
/// where it is not allowed.
void become(const std::string& user);

/// SIGTERM, SIGINT and SIGHUP are from now on only waited for by `next_signal`; in every OS thread
/// that is started later. SIGPIPE becomes a write that fails.
void hold_signals();

/// The next signal, or 0 when the time is over.
int next_signal(std::chrono::milliseconds patience);

} // namespace banyan
