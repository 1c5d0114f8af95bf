#pragma once

namespace banyan {

/// OS threads that LibTorch uses on the CPU; 0: one per core.
void use_threads(int count);

} // namespace banyan
