#pragma once

#include <thread>
#include <utility>

namespace banyan {

/// When a step that comes again is recorded: once it has run often enough on one OS thread. A
/// recording that failed is tried again after as many runs, a few times.
class recording_turn {
public:
  /// Recording a step takes about as long as this many replays of it save. Weights that were just
  /// published, whose steps are not recorded yet, may be replaced before that.
  static constexpr int runs_before = 4;
  static constexpr int most_failures = 3;

  /// Asked at every run of the step: is it to be recorded now?
  bool comes(std::thread::id here) {
    // LibTorch's handles of cuBLAS belong to OS threads, and the first run on one makes them.
    if (std::exchange(ran_on_, here) != here || failures_ == most_failures) return false;
    return runs_++ >= runs_before;
  }

  void failed() {
    runs_ = 0;
    ++failures_;
  }

private:
  std::thread::id ran_on_;
  int runs_ = 0, failures_ = 0;
};

} // namespace banyan
