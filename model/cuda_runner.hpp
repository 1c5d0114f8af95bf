#pragma once

#include "model/padded_batch.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

namespace c10 {
struct Event;
}

namespace banyan {

/// Runs decode steps on a CUDA device: on a stream of their own, so that they do not queue behind
/// whatever else the process has the device do (training, say), and, for sizes that come again, as
/// CUDA graphs: at the size of our models launching kernels takes longer than running them. One
/// step at a time. Other OS threads may use the device meanwhile, but must not wait for all of it:
/// that spoils a recording.
///
/// Errors of the device throw std::runtime_error or c10::Error, a lack of its memory what
/// `is_out_of_memory` knows.
class cuda_runner {
public:
  /// `max_numbers`: of a batch.
  cuda_runner(const at::Device&, std::size_t max_numbers);
  ~cuda_runner();

  void* stream() const; ///< a cudaStream_t

  /// What is within its life runs on the device and stream of the runner. Where an exception ends
  /// it, nothing of that runs any more.
  class guard;

  /// What is launched from now on begins when the event has come about.
  void wait_for(const c10::Event&);

  /// Copies a batch to the device, always to the same place. Valid until the next call.
  step_batch upload(const padded_batch&);

  struct step {
    std::uint64_t model;
    std::int64_t tokens;
    auto operator<=>(const step&) const = default;
  };

  /// Runs `launches`, which launch kernels for a step and allocate nothing once they have run.
  /// When a step's turn comes (`recording_turn`) they are recorded, and only replayed from then on,
  /// with the pointers that they had; where that fails, they are launched. Recordings of models
  /// that have not run for long are dropped.
  void run(step, const std::function<void()>& launches);

  /// A copy in the host's memory, when all that was launched is done.
  at::Tensor download(const at::Tensor&) const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

class cuda_runner::guard {
public:
  explicit guard(const cuda_runner&);
  ~guard();

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace banyan
