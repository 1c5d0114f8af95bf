#pragma once

#include "tests/made_up_node.hpp"
#include "tests/training.hpp"

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace banyan {

/// Training over trees of the test's making; no pool, unless a test has some.
struct made_up_training : training {
  std::shared_ptr<node_script> script = std::make_shared<node_script>();
  std::vector<weights_target> targets;

  explicit made_up_training(const std::filesystem::path& out) : training(out) {
    rollouts.plan.reward = [](const tree& t) { return double(t.outcome.solved); };
  }

  void start_with(std::function<std::optional<tree>(const solve_request&)> solve,
                  bool resume = false) {
    script->solve = std::move(solve);
    node = sys.spawn(made_up_node, script);
    start_over(make_run(resume), targets);
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
