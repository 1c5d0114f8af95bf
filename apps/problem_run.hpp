#pragma once

#include "apps/decoding_options.hpp"
#include "apps/model_choice.hpp"
#include "apps/runtime.hpp"
#include "solver/countdown.hpp"
#include "trainer/evaluation.hpp"

#include <chrono>
#include <functional>
#include <span>

namespace banyan {

/// What a run over a set of problems tells while it goes on.
struct problem_run_hooks {
  std::function<bool()> stop;                                  ///< true: cancel what runs
  std::function<void(std::size_t index, const tree&)> on_tree; ///< in the order of the problems
  /// Now and then; the ids of the running trees, with the index of each one's problem, oldest
  /// first.
  std::function<void(const std::vector<std::pair<std::size_t, std::string>>&)> on_tick;
  std::chrono::milliseconds tick{50};
};

struct problem_run_result {
  double wall_s = 0;
  bool stopped = false;
};

/// Solves the problems, `options.concurrency` at a time. Throws `bad_environment` where a tree was
/// not answered with a tree.
problem_run_result run_problems(runtime&, std::span<const problem>, const decoding_options&,
                                const problem_run_hooks&);

/// The same for `count` requests, however they are made.
problem_run_result run_requests(runtime&, std::size_t count,
                                const std::function<solve_request(std::size_t index)>& request,
                                std::size_t concurrency, const problem_run_hooks&);

/// The figures over trained weights that a run still changes: solves the problems with a copy of
/// them, on a pool of its own. `begin`: what stands in front of every prompt; `stop` as above.
evaluation evaluate_weights(const model_weights&, std::shared_ptr<const tokenizer>,
                            std::vector<std::int32_t> begin, std::span<const problem>,
                            const std::string& device, const std::function<bool()>& stop);

/// Loads the model for each device of the options.
std::vector<pool_source> load_pools(const std::filesystem::path& folder, const decoding_options&);

/// What stands in front of every prompt: nothing for a model that was trained here, as its
/// demonstrations had nothing there; begin-of-sequence for other models that know it.
std::vector<std::int32_t> prompt_begin(const model_choice&, const tokenizer&);

/// The model on its devices behind a runtime. What pools have to say is logged as warnings.
std::unique_ptr<runtime> start_runtime(const model_choice&, const decoding_options&,
                                       const common_options&);

} // namespace banyan
