#include "trainer/logprob_gap.hpp"

#include "model/transformer.hpp"
#include "tests/learning.hpp"
#include "tests/scarce_memory.hpp"
#include "tests/scratch_folder.hpp"
#include "trainer/batch.hpp"
#include "trainer/rl.hpp"

#include <fstream>
#include <string>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// The tree with the logprobs that these weights give its tokens at a temperature.
std::shared_ptr<const tree> sampled_at(double temperature, const tree& t, const model_weights& w) {
  const at::NoGradGuard no_grad;
  auto made = std::make_shared<tree>(t);
  for (auto& thread : made->threads) {
    const std::vector<training_sequence> one{sequence_of(thread, *vocabulary)};
    const auto batch = make_batch(one);
    const auto logits =
        transformer(copy_of(w))
            .forward(batch.sequences, at::tensor(batch.selected, at::kLong), dtype::float32);
    const auto logprobs = at::log_softmax(logits / temperature, -1)
                              .gather(1, at::tensor(batch.targets, at::kLong).unsqueeze(1))
                              .flatten();
    std::int64_t next = 0;
    for (auto& part : thread.segments)
      for (auto& logprob : part.logprobs) logprob = logprobs[next++].item<float>();
  }
  return made;
}

} // namespace

TEST_CASE("tokens are scored at the temperature at which they were sampled", "[trainer]") {
  const auto lag_at = [](double temperature) {
    auto o = plain();
    o.temperature = temperature;
    learning l(o);
    auto over = groups();
    for (auto& g : over)
      for (auto& t : g.trees) t = sampled_at(0.5, *t, *l.weights);
    const auto sums = l.run(over).sums;
    return sums.lag / sums.terms;
  };
  CHECK(lag_at(0.5) < 1e-5);
  CHECK(lag_at(1) > 1e-3);
}

TEST_CASE("the gap of an epoch is that of the tokens it sampled with its own cache", "[trainer]") {
  const auto weights = fresh_weights();
  const transformer model(copy_of(*weights));
  tree t = *sampled_at(1, sampled_demonstration(*vocabulary, 3), *weights);
  REQUIRE(t.threads.size() > 1);
  CHECK(*logprob_gap(t, 0, model, *vocabulary, 1) < 1e-4);
  auto& root = t.threads[0].segments[1];
  for (std::size_t i = root.ids.size() / 2; i < root.ids.size(); ++i) {
    root.epochs[i] = 1; // new weights came in the middle
    root.logprobs[i] -= 5;
  }
  CHECK(*logprob_gap(t, 0, model, *vocabulary, 1) < 1e-4);
  CHECK_FALSE(logprob_gap(t, 1, model, *vocabulary, 1)); // they saw what the old ones cached
  CHECK(logprob_gap(t, model, *vocabulary, 1, dtype::float32) > 1);
}

TEST_CASE("the gap of a tree is small at the temperature of its sampling alone", "[trainer]") {
  const auto weights = fresh_weights();
  const transformer model(copy_of(*weights));
  const auto t = *sampled_at(2, sampled_demonstration(*vocabulary, 3), *weights);
  CHECK(*logprob_gap(t, 0, model, *vocabulary, 2) < 1e-4);
  CHECK(*logprob_gap(t, 0, model, *vocabulary, 1) > 1e-2);
  CHECK(logprob_gap(t, model, *vocabulary, 2, dtype::float32) < 1e-4);
  CHECK(logprob_gap(t, model, *vocabulary, 1, dtype::float32) > 1e-2);
}

TEST_CASE("a gap is the same in whatever parts a tree is scored", "[trainer]") {
  const auto weights = fresh_weights();
  const transformer model(copy_of(*weights));
  auto t = *sampled_at(1, sampled_demonstration(*vocabulary, 3), *weights);
  REQUIRE(t.threads.size() > 2);
  std::size_t longest = 0;
  for (const auto& s : sequences_of(t, *vocabulary)) longest = std::max(longest, s.length());
  for (auto i : {std::size_t{0}, t.threads.size() - 1}) {
    t.threads[i].segments[1].logprobs[0] -= 3; // that one is in the first part, and in the last
    const auto whole = *logprob_gap(t, 0, model, *vocabulary, 1);
    CHECK(whole == Approx(3).margin(0.1));
    for (const std::size_t micro_tokens : {std::size_t{1}, longest, 2 * longest})
      CHECK(*logprob_gap(t, 0, model, *vocabulary, 1, micro_tokens) == Approx(whole).margin(1e-4));
    t.threads[i].segments[1].logprobs[0] += 3;
  }
  // The activations of the longest thread fit, and those of two do not.
  const scarce_memory scarce(longest * 96 * sizeof(float));
  CHECK(*logprob_gap(t, 0, model, *vocabulary, 1, 1) < 1e-4);
  CHECK_THROWS(logprob_gap(t, 0, model, *vocabulary, 1));
}

TEST_CASE("a gap for which memory does not suffice is not measured and ends nothing", "[trainer]") {
  const scratch_folder out;
  std::vector<std::string> told;
  rl_options o;
  o.out = out.path();
  o.checkpoint_every = 0;
  rl_hooks hooks;
  hooks.voice.warn = [&](std::string_view line) { told.emplace_back(line); };
  rl_run run(o, vocabulary, hooks, fresh_weights());
  run.start();
  rollout_batch batch{.groups = groups()};
  for (const auto& g : batch.groups) {
    batch.examples.push_back(g.trees.front());
    for (const auto& t : g.trees) batch.figures.add(*t);
  }
  run.begin(batch);
  while (run.advance()) {
  }
  run.publish();
  {
    const scarce_memory scarce(1024);
    run.finish({});
  }
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::StartsWith("step 1: memory does not suffice for the logprob gap"));
  std::ifstream log(out / "log.jsonl");
  CHECK(nlohmann::json::parse(log).at("logprob_gap_max").is_null());
  CHECK(run.step() == 1);
}
