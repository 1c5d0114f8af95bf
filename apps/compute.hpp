#pragma once

namespace banyan {

/// OS threads that LibTorch uses on the CPU; 0: one per core.
void use_threads(int count);

/// Memory that is freed stays with the process for what comes next. A step of training takes and
/// frees the same large pieces over and over, and getting them from the kernel, zeroed, costs time
/// that a small step feels. Only for programs that train: others give memory back.
void keep_freed_memory();

} // namespace banyan
