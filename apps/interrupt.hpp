#pragma once

namespace banyan {

/// From here on SIGINT and SIGTERM only set a flag, so that a command can end in order; a second
/// one ends the program at once. SIGPIPE becomes a write that fails.
void catch_interrupts();

/// The signal that asked the program to end; 0: none did.
int interrupted();

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
