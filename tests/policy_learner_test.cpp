// LibTorch is built without assertions; with them a RecordFunction would be laid out otherwise
// here.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "trainer/policy_learner.hpp"

#include "model/transformer.hpp"
#include "tests/learning.hpp"
#include "trainer/batch.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

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

/// Counts, while it lives, the forward passes over some weights: each looks its tokens up once.
class passes_over {
public:
  explicit passes_over(const model_weights& weights)
      : embedding_(weights.embedding), handle_(at::addThreadLocalCallback(looking())) {
    counting = this;
  }
  ~passes_over() {
    at::removeCallback(handle_);
    counting = nullptr;
  }
  passes_over(const passes_over&) = delete;
  passes_over& operator=(const passes_over&) = delete;

  std::uint64_t count() const { return count_; }

private:
  static at::RecordFunctionCallback looking() {
    return at::RecordFunctionCallback([](const at::RecordFunction& f) {
             if (std::string_view(f.name()) == "aten::embedding") counting->look(f.inputs()[0]);
             return std::unique_ptr<at::ObserverContext>();
           })
        .needsInputs(true)
        .scopes({at::RecordScope::FUNCTION});
  }

  void look(const c10::IValue& table) { count_ += table.toTensor().is_alias_of(embedding_); }

  static inline passes_over* counting = nullptr;
  at::Tensor embedding_; // [vocab, d]
  std::uint64_t count_ = 0;
  at::CallbackHandle handle_;
};

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

TEST_CASE("the reference costs nothing and is at no distance until the first update", "[trainer]") {
  auto o = plain();
  o.loss.kl = 0.1;
  learning l(o);
  CHECK(l.run(groups()).sums.kl == 0);
  CHECK(l.run(groups()).sums.kl > 0);
}

TEST_CASE("the reference is computed once a sequence and step and not while it is the policy",
          "[trainer]") {
  auto o = plain();
  o.loss.kl = 0.1;
  o.inner_steps = 3;
  o.micro_tokens = 1; // one sequence after the other
  learning l(o);
  const passes_over reference(*l.reference);
  const auto before = copy_of(*l.weights);
  l.run(groups());
  CHECK(reference.count() == 0);
  l.learner.undo(*before); // it is the reference again
  l.run(groups());
  CHECK(reference.count() == 0);
  const auto sequences = l.run(groups()).sequences;
  REQUIRE(sequences > 1);
  CHECK(reference.count() == sequences);
}

TEST_CASE("a run without a distance never computes the reference", "[trainer]") {
  learning l(plain());
  const passes_over reference(*l.reference);
  for (int i = 0; i < 2; ++i) l.run(groups());
  CHECK(reference.count() == 0);
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
  CHECK(l.run(over).trouble == not_finite::loss);
  CHECK(difference(*before, *l.weights) == 0);
  CHECK_FALSE(l.run(groups()).skipped()); // and nothing of it is left
  CHECK(difference(*before, *l.weights) > 0);
}

TEST_CASE("a later inner step is clipped against the weights that the step began with",
          "[trainer]") {
  // In the first inner step every ratio is 1 and no clip decides; in the second it does, unless the
  // ratio were taken anew.
  const auto clip_matters = [](std::int64_t inner_steps) {
    auto narrow = plain(), wide = plain();
    narrow.loss.clip_low = narrow.loss.clip_high = 1e-6;
    wide.loss.clip_low = wide.loss.clip_high = 0.9;
    narrow.inner_steps = wide.inner_steps = inner_steps;
    learning a(narrow), b(wide);
    a.run(groups());
    b.run(groups());
    return difference(*a.weights, *b.weights);
  };
  CHECK(clip_matters(1) < 1e-6);
  CHECK(clip_matters(2) > 1e-4);
}

TEST_CASE("the share of clipped tokens is that of all passes over the trees", "[trainer]") {
  auto narrow = plain();
  narrow.loss.clip_low = narrow.loss.clip_high = 1e-6;
  CHECK(learning(narrow).run(groups()).clip_share == 0); // every ratio is 1
  narrow.inner_steps = 2;
  const auto share = learning(narrow).run(groups()).clip_share;
  CHECK(share > 0.1); // about half of the second pass
  CHECK(share <= 0.5);
}

TEST_CASE("the entropy of a model that prefers nothing is the logarithm of its vocabulary",
          "[trainer]") {
  learning l(plain());
  {
    const at::NoGradGuard no_grad;
    l.weights->embedding.zero_();
  }
  const auto sums = l.run(groups()).sums;
  CHECK(sums.entropy / sums.terms == Approx(std::log(double(vocabulary->vocab_size()))));
}

TEST_CASE("staleness is counted in epochs over tokens", "[trainer]") {
  learning l(plain());
  CHECK(l.run(groups(0)).staleness_mean == 1); // sampled with epoch 0, trained at epoch 1
  CHECK(l.run(groups(1)).staleness_mean == 0);
}

TEST_CASE("a step without groups changes nothing", "[trainer]") {
  learning l(plain());
  const auto before = copy_of(*l.weights);
  CHECK_FALSE(l.run({}).skipped());
  CHECK(difference(*before, *l.weights) == 0);
}

TEST_CASE("a step that is undone leaves weights and optimiser as they were", "[trainer]") {
  const auto given = groups();
  for (const auto kind : {optimizer_kind::adamw, optimizer_kind::muon}) {
    auto o = plain();
    o.optimizer.kind = kind;
    learning undone(o), undisturbed(o);
    for (auto* l : {&undone, &undisturbed}) l->run(given);
    const auto before = copy_of(*undone.weights);
    undone.run(given);
    REQUIRE(difference(*undone.weights, *before) > 0);
    undone.learner.undo(*before);
    CHECK(difference(*undone.weights, *before) == 0);
    for (auto* l : {&undone, &undisturbed}) l->run(given);
    CHECK(difference(*undone.weights, *undisturbed.weights) == 0);
  }
}
