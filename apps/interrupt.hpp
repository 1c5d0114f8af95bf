#pragma once

#include <exception>

namespace banyan {

/// From here on SIGINT, SIGTERM and SIGHUP, unless that is ignored, only set a flag, so that a
/// command can end in order; a second one, unless it comes together with the first, ends the
/// program at once. SIGPIPE becomes a write that fails.
void catch_interrupts();

/// The signal that asked the program to end; 0: none did.
int interrupted();

/// Thrown by what waits, when the program was asked to end.
struct was_interrupted : std::exception {};

/// Called where a second signal ends the program at once; null: nothing. Safe in a signal handler.
void before_ending_at_once(void (*tidy)());

/// While it lives the first signal ends the program at once: for long work that leaves nothing
/// behind and cannot be asked to stop.
class ends_at_once {
public:
  ends_at_once();
  ~ends_at_once();
  ends_at_once(const ends_at_once&) = delete;
  ends_at_once& operator=(const ends_at_once&) = delete;
};

} // namespace banyan
