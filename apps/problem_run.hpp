#pragma once

#include "apps/decoding_options.hpp"
#include "apps/runtime.hpp"
#include "solver/countdown.hpp"

#include <chrono>
#include <functional>
#include <span>

namespace banyan {

/// What a run over a set of problems tells while it goes on.
struct problem_run_hooks {
  std::function<bool()> stop;                                  ///< true: cancel what runs
  std::function<void(std::size_t index, const tree&)> on_tree; ///< as they end
  /// Now and then; the ids of the running trees, with the index of each one's problem, oldest
  /// first.
  std::function<void(const std::vector<std::pair<std::size_t, std::string>>&)> on_tick;
  std::chrono::milliseconds tick{100};
};

struct problem_run_result {
  double wall_s = 0;
  bool stopped = false;
};

/// Solves the problems, `options.concurrency` at a time. Throws `bad_environment` where a tree was
/// not answered with a tree.
problem_run_result run_problems(runtime&, std::span<const problem>, const decoding_options&,
                                const problem_run_hooks&);

/// Loads a model for each device of the options, cheaply on the eye of a person who waits: nothing
/// is loaded twice for one device.
std::vector<pool_source> load_pools(const std::filesystem::path& folder, const decoding_options&);

} // namespace banyan
