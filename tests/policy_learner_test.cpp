#include "trainer/policy_learner.hpp"

#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "tests/sampled_tree.hpp"
#include "trainer/batch.hpp"
#include "trainer/logprob_gap.hpp"
#include "trainer/rollout_plan.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CPUAllocator.h>

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

/// While it lives the CPU's allocator refuses requests larger than `most` bytes, as a machine whose
/// memory is used up does.
class scarce_memory : public c10::Allocator {
public:
  explicit scarce_memory(std::size_t most) : plain_(c10::GetCPUAllocator()), most_(most) {
    c10::SetCPUAllocator(this, 255);
  }
  ~scarce_memory() override { c10::SetCPUAllocator(plain_, 255); }
  scarce_memory(const scarce_memory&) = delete;
  scarce_memory& operator=(const scarce_memory&) = delete;

  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes > most_) TORCH_CHECK(false, "DefaultCPUAllocator: not enough memory");
    return plain_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return plain_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

private:
  c10::Allocator* plain_;
  std::size_t most_;
};

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

/// A step during which nothing of any size can be allocated.
void run_without_memory(learning& l) {
  l.learner.begin(groups(), 1, 1e-3);
  const scarce_memory scarce(1024);
  while (l.learner.advance()) {
  }
}

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

TEST_CASE("where memory does not suffice the step is done in smaller parts", "[trainer]") {
  std::size_t tokens = 0;
  {
    learning l(plain());
    tokens = l.run(groups()).tokens;
  }
  auto tight = plain();
  tight.micro_tokens = tokens;
  std::vector<std::string> said;
  tight.log = [&](std::string_view line) { said.emplace_back(line); };
  learning whole(plain()), cut(tight);
  const auto expected = whole.run(groups());
  learn_figures found;
  {
    // A whole step's gate and up projection does not fit; half of it does.
    const scarce_memory scarce(tokens * 96 * sizeof(float) - 1);
    found = cut.run(groups());
  }
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::Contains("memory"));
  CHECK(found.grad_norm == Approx(expected.grad_norm).epsilon(1e-4));
  CHECK(found.sums.terms == expected.sums.terms);
}

TEST_CASE("memory that never suffices is an error and not an endless loop", "[trainer]") {
  auto o = plain();
  std::vector<std::string> said;
  o.log = [&](std::string_view line) { said.emplace_back(line); };
  learning l(o);
  CHECK_THROWS(run_without_memory(l));
  CHECK(said.size() == 1); // tried in smaller parts once
}

TEST_CASE("a thread for which memory does not suffice is named", "[trainer]") {
  auto o = plain();
  o.micro_tokens = 1;
  std::vector<std::string> said;
  o.log = [&](std::string_view line) { said.emplace_back(line); };
  learning l(o);
  CHECK_THROWS(run_without_memory(l));
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::Contains("cannot be learnt from in smaller parts"));
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

namespace {

/// So many sampled tokens after a prompt of one, which no other thread has.
thread_record thread_of(const std::string& path, std::int32_t prompt, std::size_t tokens) {
  thread_record t;
  t.path = path;
  t.phase = thread_phase::done;
  t.segments.push_back({segment_kind::prompt, "p", {prompt}, {}, {}});
  segment s{segment_kind::written, "w", std::vector<std::int32_t>(tokens, 7), {}, {}};
  s.logprobs.assign(tokens, -1);
  s.epochs.assign(tokens, 0);
  t.segments.push_back(std::move(s));
  return t;
}

/// A right tree with a root of 2 tokens and a child of 4, and a wrong one with a root of 3.
rollout_group two_trees() {
  auto right = std::make_shared<tree>(), wrong = std::make_shared<tree>();
  right->threads = {thread_of("/", 1, 2), thread_of("/0", 2, 4)};
  right->threads[1].depth = 1;
  wrong->threads = {thread_of("/", 3, 3)};
  return {.trees = {right, wrong}, .rewards = {1, 0}};
}

std::vector<float> weights_of(const learner_options& o) {
  std::vector<float> weights; // of the first token of every sequence
  const rollout_group group = two_trees();
  for (const auto& s : lay_out({&group, 1}, o)) weights.push_back(s.terms.at(0).weight);
  return weights;
}

} // namespace

TEST_CASE("a token weighs by its thread and tree or by the whole step", "[trainer]") {
  auto o = plain();
  const auto by_thread = weights_of(o);
  REQUIRE(by_thread.size() == 3);
  CHECK(by_thread[0]
        == Approx(1.0 / 2 / 2 / 2)); // trees, threads of the tree, tokens of the thread
  CHECK(by_thread[1] == Approx(1.0 / 2 / 2 / 4));
  CHECK(by_thread[2] == Approx(1.0 / 2 / 1 / 3));
  o.mean = token_mean::batch;
  for (auto w : weights_of(o)) CHECK(w == Approx(1.0 / 9));
}

TEST_CASE("threads without advantage are laid out only for the distance to the reference",
          "[trainer]") {
  auto o = plain();
  o.credit.kind = credit_kind::per_thread; // the child of the right tree did not make its answer
  auto group = two_trees();
  auto right = std::make_shared<tree>(*group.trees[0]);
  right->outcome.solved = true;
  group.trees[0] = right;
  CHECK(lay_out({&group, 1}, o).size() == 2);
  o.mean = token_mean::batch; // of all tokens, those that are left out too
  for (const auto& s : lay_out({&group, 1}, o)) CHECK(s.terms.at(0).weight == Approx(1.0 / 9));
  o.loss.kl = 0.1;
  CHECK(lay_out({&group, 1}, o).size() == 3);
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
