#pragma once

#include "model/weights.hpp"
#include "tests/sampled_tree.hpp"
#include "trainer/policy_learner.hpp"
#include "trainer/rollout_plan.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

namespace banyan {

inline const auto vocabulary = countdown_tokenizer();

/// Groups of different trees, the first of each the only good one.
inline std::vector<rollout_group> groups(std::uint32_t epoch = 0) {
  std::vector<rollout_group> all;
  for (std::uint32_t g = 0; g < 2; ++g) {
    rollout_group group{.index = g};
    for (std::uint64_t i = 0; i < 3; ++i) {
      group.trees.push_back(
          std::make_shared<tree>(sampled_demonstration(*vocabulary, 10 * g + i, epoch)));
      group.rewards.push_back(i == 0 ? 1 : 0);
    }
    all.push_back(std::move(group));
  }
  return all;
}

inline std::shared_ptr<model_weights> fresh_weights() {
  return std::make_shared<model_weights>(random_weights(tiny_model(*vocabulary), 5));
}

inline std::shared_ptr<const model_weights> copy_of(const model_weights& w) {
  return std::make_shared<model_weights>(copy_weights(w, dtype::float32, "cpu"));
}

inline learner_options plain() {
  learner_options o;
  o.optimizer.kind = optimizer_kind::adamw;
  o.optimizer.clip_norm = 0;
  o.loss.kl = 0;
  o.loss.importance_cap = 0;
  return o;
}

struct learning {
  std::shared_ptr<model_weights> weights = fresh_weights();
  std::shared_ptr<const model_weights> reference = copy_of(*weights);
  policy_learner learner;

  explicit learning(const learner_options& o, run_voice voice = {})
      : learner(o, weights, reference, std::move(voice)) {}

  learn_figures run(std::span<const rollout_group> over, double rate = 1e-3) {
    learner.begin(over, 1, rate);
    while (learner.advance()) {
    }
    return learner.figures();
  }
};

inline double difference(const model_weights& a, const model_weights& b) {
  double largest = 0;
  const auto left = named_views(a), right = named_views(b);
  for (std::size_t i = 0; i < left.size(); ++i)
    largest = std::max(
        largest, (left[i].value.detach() - right[i].value.detach()).abs().max().item<double>());
  return largest;
}

} // namespace banyan
