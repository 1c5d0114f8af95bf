#pragma once

namespace banyan {

/// From here on SIGINT and SIGTERM only set a flag, so that a command can end in order; a second
/// one ends the program at once. SIGPIPE becomes a write that fails.
void catch_interrupts();

/// The signal that asked the program to end; 0: none did.
int interrupted();

} // namespace banyan
