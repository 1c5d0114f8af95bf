#include "tests/learning.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

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

/// The terms of every sequence, under the token that it begins with.
std::map<std::int32_t, std::vector<sampled_term>> terms_of(const rollout_group& group,
                                                           const learner_options& o) {
  std::map<std::int32_t, std::vector<sampled_term>> all;
  for (const auto& s : lay_out({&group, 1}, o)) all[s.ids.front()] = s.terms;
  return all;
}

bool weigh(const std::vector<sampled_term>& terms, std::size_t count, double each) {
  return terms.size() == count
         && std::ranges::all_of(terms, [=](const auto& t) { return t.weight == Approx(each); });
}

/// Nobody waited for the child of the right tree any more.
rollout_group with_cancelled_child(bool stopped) {
  auto group = two_trees();
  auto right = std::make_shared<tree>(*group.trees[0]);
  if (stopped)
    right->threads[1].phase = thread_phase::cancelled;
  else
    right->threads[1].awaited = false;
  group.trees[0] = right;
  return group;
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

TEST_CASE("a term has its tree's advantage and it is divided or not as was asked", "[trainer]") {
  auto o = plain();
  o.credit.divide_by_std = GENERATE(true, false);
  // Rewards of 1 and 0: each is a half from their mean, and so is the standard deviation.
  const auto each = o.credit.divide_by_std ? 1 : 0.5;
  const auto all = terms_of(two_trees(), o);
  REQUIRE(all.size() == 3);
  for (const auto& [prompt, terms] : all)
    for (const auto& t : terms) CHECK(t.advantage == Approx(prompt == 3 ? -each : each));
}

TEST_CASE("a thread that the outcome is not put down to counts for nothing", "[trainer]") {
  auto o = plain();
  o.credit.kind = credit_kind::per_thread; // the child of the right tree did not make its answer
  o.loss.kl = GENERATE(0.0, 0.1);          // not even the distance to the reference
  auto group = two_trees();
  auto right = std::make_shared<tree>(*group.trees[0]);
  right->outcome.solved = true;
  group.trees[0] = right;
  auto terms = terms_of(group, o);
  CHECK(terms.size() == 2);
  CHECK(weigh(terms[1], 2, 1.0 / 2 / 1 / 2)); // the only thread of its tree: all of its weight
  CHECK(weigh(terms[3], 3, 1.0 / 2 / 1 / 3));
  o.mean = token_mean::batch;
  terms = terms_of(group, o);
  CHECK(weigh(terms[1], 2, 1.0 / 5));
  CHECK(weigh(terms[3], 3, 1.0 / 5));
}

TEST_CASE("trees without advantage are laid out only for the distance to the reference",
          "[trainer]") {
  auto o = plain();
  auto group = two_trees();
  group.rewards = {1, 1};
  CHECK(lay_out({&group, 1}, o).empty());
  o.loss.kl = 0.1;
  CHECK(lay_out({&group, 1}, o).size() == 3);
}

TEST_CASE("a cancelled thread carries loss as far as it was sampled or not at all", "[trainer]") {
  const auto group = with_cancelled_child(GENERATE(true, false));
  auto o = plain();
  o.loss.kl = 0.1; // not even the distance to the reference
  auto terms = terms_of(group, o);
  CHECK(terms.size() == 3);
  CHECK(weigh(terms[1], 2, 1.0 / 2 / 2 / 2));
  CHECK(weigh(terms[2], 4, 1.0 / 2 / 2 / 4));
  CHECK(weigh(terms[3], 3, 1.0 / 2 / 1 / 3));
  o.credit.cancelled = cancelled_kind::left_out;
  terms = terms_of(group, o);
  CHECK(terms.size() == 2);
  CHECK(weigh(terms[1], 2, 1.0 / 2 / 1 / 2)); // the only thread of its tree
  CHECK(weigh(terms[3], 3, 1.0 / 2 / 1 / 3));
  o.mean = token_mean::batch;
  terms = terms_of(group, o);
  CHECK(weigh(terms[1], 2, 1.0 / 5));
  CHECK(weigh(terms[3], 3, 1.0 / 5));
}

TEST_CASE("a thread that is left out takes nothing from another with its prompt", "[trainer]") {
  auto group = with_cancelled_child(true);
  auto wrong = std::make_shared<tree>(*group.trees[1]);
  wrong->threads.push_back(thread_of("/0", 2, 1)); // the prompt of the cancelled one
  group.trees[1] = wrong;
  auto o = plain();
  CHECK(terms_of(group, o)[2].size() == 5);
  o.credit.cancelled = cancelled_kind::left_out;
  const auto terms = terms_of(group, o)[2];
  CHECK(weigh(terms, 1, 1.0 / 2 / 2 / 1));
  CHECK(terms.at(0).advantage < 0); // that of the wrong tree
}
