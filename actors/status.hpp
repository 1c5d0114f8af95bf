#pragma once

#include "solver/errc.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace banyan {

/// How often values fell into which range, as Prometheus counts them.
struct histogram {
  std::vector<double> bounds;        ///< upper ends of the ranges, rising; one more has no end
  std::vector<std::uint64_t> counts; ///< [bounds + 1] values in each range
  double sum = 0;                    ///< of all values

  histogram() = default;
  explicit histogram(std::vector<double> upper_ends)
      : bounds(std::move(upper_ends)), counts(bounds.size() + 1) {}

  void add(double value, std::uint64_t times = 1) {
    const auto place = std::lower_bound(bounds.begin(), bounds.end(), value);
    counts[static_cast<std::size_t>(place - bounds.begin())] += times;
    sum += value * static_cast<double>(times);
  }
};

struct pool_status {
  std::string name;                  ///< "cpu:0", "cuda:1"
  std::uint32_t weights_epoch = 0;   ///< the newest that it has
  std::vector<std::uint32_t> epochs; ///< all that it has, older ones first
  std::uint64_t queued = 0, running = 0, finished = 0, failed = 0, steps = 0;
  std::uint64_t cancelled = 0; ///< requests broken off: by a pause, by hand, by a join
  std::uint64_t blocks_total = 0, blocks_free = 0, blocks_leased = 0, blocks_cached = 0;
  std::uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  double busy_s = 0, forward_s = 0; ///< in steps altogether; in the model's forward pass
  histogram batch_sizes;            ///< sequences in a step
  histogram step_s, queued_s;       ///< seconds of a step; of a request before its first step
};

/// A pool's status for who cannot wait until its step is over: as it was when the step began. Used
/// from any OS thread.
class pool_gauge {
public:
  void show(pool_status now) {
    const std::lock_guard lock(mutex_);
    now_ = std::move(now);
  }

  pool_status now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }

private:
  mutable std::mutex mutex_;
  pool_status now_;
};

struct node_status {
  std::uint64_t accepted = 0, running = 0, solved = 0, finished = 0;
  std::vector<pool_status> pools;          ///< by name
  std::uint64_t pools_alive = 0;           ///< without them no tree gets anywhere
  std::uint64_t queued = 0;                ///< accepted, waiting for their turn
  std::uint64_t paused = 0;                ///< of the running and the queued ones
  std::uint64_t queued_paused = 0;         ///< of the queued ones alone
  std::uint64_t failed = 0, cancelled = 0; ///< of the finished ones
  std::vector<std::string> trees;          ///< ids of the running ones, oldest first
  bool draining = false;
  std::map<errc, std::uint64_t> failures;          ///< of the finished trees
  std::map<errc, std::uint64_t> thread_failures;   ///< of the threads of finished trees
  std::uint64_t threads = 0, generated_tokens = 0; ///< of the finished trees
};

} // namespace banyan
