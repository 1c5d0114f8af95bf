#include "trainer/rl.hpp"

#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/sampled_tree.hpp"
#include "tests/scratch_folder.hpp"

#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// A group of a right tree and a wrong one, all of whose tokens had this logprob.
rollout_batch batch_of(const tokenizer& vocabulary, std::int64_t step, float logprob) {
  rollout_batch batch{.step = step, .counts = {.groups = 1, .informative = 1}};
  auto& group = batch.groups.emplace_back();
  for (const std::uint64_t index : {0, 1}) {
    const auto made = sampled_demonstration(vocabulary, index);
    group.trees.push_back(std::make_shared<tree>(as_sampled(made, vocabulary, logprob)));
    group.rewards.push_back(double(index));
    batch.figures.add(*group.trees.back());
  }
  return batch;
}

} // namespace

TEST_CASE("a step that is skipped says so and why", "[trainer]") {
  const scratch_folder out;
  const auto vocabulary = countdown_tokenizer();
  std::vector<std::string> told;
  rl_options o;
  o.out = out.path();
  o.gap_trees = 0;
  rl_hooks hooks;
  hooks.voice.warn = [&](std::string_view line) { told.emplace_back(line); };
  auto weights = std::make_shared<model_weights>(random_weights(tiny_model(*vocabulary), 1));
  rl_run run(o, vocabulary, hooks, std::move(weights));
  run.start();
  constexpr auto nan = std::numeric_limits<float>::quiet_NaN();
  for (const float logprob : {-0.5F, nan, -0.5F}) {
    run.begin(batch_of(*vocabulary, run.step(), logprob));
    while (run.advance()) {
    }
    run.publish();
    run.finish({});
  }
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::StartsWith("step 2: the loss is not finite; "));
  CHECK(run.result().skipped == 1);
}
