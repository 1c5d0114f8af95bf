#pragma once

namespace banyan {

// Where a loop of ours runs: the last argument of what there is for both devices.

/// OS threads of this process; returns when the work is done. Pointers are the host's.
struct on_cpu {};

/// A CUDA device; launches on the stream and returns at once. Pointers are the device's. Only
/// builds with CUDA kernels have these.
struct on_stream {
  void* handle = nullptr; ///< a cudaStream_t
};

} // namespace banyan
