#include "tests/learning.hpp"

#include <string>

#include <catch2/catch.hpp>

using namespace banyan;

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
