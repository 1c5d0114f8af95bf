#pragma once

#include "tests/made_up_node.hpp"
#include "tests/training.hpp"

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

namespace banyan {

/// Training over trees of the test's making, without a pool.
struct made_up_training : training {
  std::shared_ptr<node_script> script = std::make_shared<node_script>();

  explicit made_up_training(const std::filesystem::path& out) : training(out) {
    rollouts.plan.reward = [](const tree& t) { return double(t.outcome.solved); };
  }

  void start_with(std::function<std::optional<tree>(const solve_request&)> solve) {
    script->solve = std::move(solve);
    node = sys.spawn(made_up_node, script);
    start_over(make_run(false), {});
    run();
  }

  /// Every second seed solves its problem.
  tree good_or_bad(const solve_request& r) const {
    auto t = sampled_demonstration(*vocabulary, r.sampling.seed);
    t.phase = tree_phase::done;
    t.outcome.solved = r.sampling.seed % 2 == 0;
    return t;
  }

  /// One whose loss is not finite.
  tree without_loss(const solve_request& r) const {
    auto t = good_or_bad(r);
    t.threads[0].segments[1].logprobs[0] = std::numeric_limits<float>::quiet_NaN();
    return t;
  }
};

} // namespace banyan
