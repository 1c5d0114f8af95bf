#include "trainer/policy_learner.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "sampled_tree.hpp"
#include "trainer/batch.hpp"
#include "trainer/rollout_plan.hpp"

#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

const auto vocabulary = countdown_tokenizer();

/// Groups of different trees, the first of each the only good one.
std::vector<rollout_group> groups(std::uint32_t epoch = 0) {
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

std::shared_ptr<model_weights> fresh_weights() {
  return std::make_shared<model_weights>(random_weights(tiny_model(*vocabulary), 5));
}

std::shared_ptr<const model_weights> copy_of(const model_weights& w) {
  return std::make_shared<model_weights>(copy_weights(w, dtype::float32, "cpu"));
}

learner_options plain() {
  learner_options o;
  o.optimizer.kind = optimizer_kind::adamw;
  o.optimizer.clip_norm = 0;
  o.loss.kl = 0;
  o.loss.importance_cap = 0;
  return o;
}

struct learning {
  std::shared_ptr<model_weights> weights = fresh_weights();
  policy_learner learner;

  explicit learning(const learner_options& o) : learner(o, weights, copy_of(*weights)) {}

  learn_figures run(std::span<const rollout_group> over, double rate = 1e-3) {
    learner.begin(over, 1, rate);
    while (learner.advance()) {
    }
    return learner.figures();
  }
};

double mean_logprob(const model_weights& w, const tree& t) {
  const at::NoGradGuard no_grad;
  const auto batch = make_batch(sequences_of(t, *vocabulary));
  const auto logits =
      transformer(copy_of(w))
          .forward(batch.sequences, at::tensor(batch.selected, at::kLong), dtype::float32);
  return at::log_softmax(logits, -1)
      .gather(1, at::tensor(batch.targets, at::kLong).unsqueeze(1))
      .mean()
      .item<double>();
}

double difference(const model_weights& a, const model_weights& b) {
  double largest = 0;
  const auto left = named_views(a), right = named_views(b);
  for (std::size_t i = 0; i < left.size(); ++i)
    largest = std::max(
        largest, (left[i].value.detach() - right[i].value.detach()).abs().max().item<double>());
  return largest;
}

} // namespace

TEST_CASE("what was better than its group becomes likelier", "[trainer]") {
  learning l(plain());
  const auto over = groups();
  const auto gain = [&, before = copy_of(*l.weights)](const tree& t) {
    return mean_logprob(*l.weights, t) - mean_logprob(*before, t);
  };
  for (int i = 0; i < 3; ++i) l.run(over);
  for (const auto& g : over) CHECK(gain(*g.trees[0]) > gain(*g.trees[1]));
}

TEST_CASE("micro-batches change nothing but the memory", "[trainer]") {
  auto small = plain();
  small.micro_tokens = 1;
  learning whole(plain()), cut(small);
  const auto a = whole.run(groups()), b = cut.run(groups());
  CHECK(a.sums.loss == Approx(b.sums.loss).margin(1e-6));
  CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
  CHECK(a.sums.terms == b.sums.terms);
}

TEST_CASE("recomputed activations change nothing but the memory", "[trainer]") {
  auto again = plain();
  again.recompute = true;
  learning kept(plain()), recomputed(again);
  CHECK(kept.run(groups()).grad_norm == Approx(recomputed.run(groups()).grad_norm).epsilon(1e-4));
}

TEST_CASE("the reference costs nothing and is at no distance until the first update", "[trainer]") {
  auto o = plain();
  o.loss.kl = 0.1;
  learning l(o);
  CHECK(l.run(groups()).sums.kl == 0);
  CHECK(l.run(groups()).sums.kl > 0);
}

TEST_CASE("a heavy distance to the reference holds the weights back", "[trainer]") {
  auto held = plain();
  held.loss.kl = 100;
  learning loose(plain()), tight(held);
  const auto before = copy_of(*loose.weights);
  const auto moved = [&](learning& l) {
    for (int i = 0; i < 8; ++i) l.run(groups());
    double sum = 0;
    for (const auto& g : groups())
      for (const auto& t : g.trees)
        sum += std::abs(mean_logprob(*l.weights, *t) - mean_logprob(*before, *t));
    return sum;
  };
  CHECK(moved(tight) < 0.5 * moved(loose));
}

TEST_CASE("a loss that is not finite leaves the weights as they were", "[trainer]") {
  auto over = groups();
  auto broken = std::make_shared<tree>(*over[0].trees[0]);
  broken->threads[0].segments[1].logprobs[0] = std::numeric_limits<float>::quiet_NaN();
  over[0].trees[0] = broken;
  auto o = plain();
  o.loss.importance_cap = 2;
  learning l(o);
  const auto before = copy_of(*l.weights);
  CHECK(l.run(over).skipped);
  CHECK(difference(*before, *l.weights) == 0);
  CHECK_FALSE(l.run(groups()).skipped); // and nothing of it is left
  CHECK(difference(*before, *l.weights) > 0);
}

TEST_CASE("the second inner step sees the ratio of the first", "[trainer]") {
  auto twice = plain();
  twice.inner_steps = 2;
  learning one(plain()), two(twice);
  one.run(groups());
  two.run(groups());
  CHECK(difference(*one.weights, *two.weights) > 0);
}

TEST_CASE("staleness is counted in epochs over tokens", "[trainer]") {
  learning l(plain());
  CHECK(l.run(groups(0)).staleness_mean == 1); // sampled with epoch 0, trained at epoch 1
  CHECK(l.run(groups(1)).staleness_mean == 0);
}

TEST_CASE("a step without groups changes nothing", "[trainer]") {
  learning l(plain());
  const auto before = copy_of(*l.weights);
  CHECK_FALSE(l.run({}).skipped);
  CHECK(difference(*before, *l.weights) == 0);
}

TEST_CASE("a thread of one token weighs as much as a long one under the mean over sequences",
          "[trainer]") {
  // With one tree per group no advantage is left, so look at the weights through the distance.
  auto by_thread = plain(), by_token = plain();
  by_token.mean = token_mean::batch;
  learning a(by_thread), b(by_token);
  CHECK(a.run(groups()).grad_norm != Approx(b.run(groups()).grad_norm));
}
