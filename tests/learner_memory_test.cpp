#include "tests/learning.hpp"
#include "tests/scarce_memory.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// A step during which nothing of any size can be allocated.
void run_without_memory(learning& l) {
  l.learner.begin(groups(), 1, 1e-3);
  const scarce_memory scarce(1024);
  while (l.learner.advance()) {
  }
}

} // namespace

run_voice into(std::vector<std::string>& said) {
  return {[&said](std::string_view line) { said.emplace_back(line); }, {}};
}

TEST_CASE("micro-batches change nothing but the memory", "[trainer]") {
  auto large = plain();
  large.loss.kl = GENERATE(0.0, 0.1);
  auto small = large;
  small.micro_tokens = 1;
  learning whole(large), cut(small);
  for (int step = 0; step < 2; ++step) { // in the second there is a distance
    const auto a = whole.run(groups()), b = cut.run(groups());
    CHECK(a.sums.loss == Approx(b.sums.loss).margin(1e-6));
    CHECK(a.sums.kl == Approx(b.sums.kl).epsilon(1e-3));
    CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
    CHECK(a.sums.terms == b.sums.terms);
  }
}

TEST_CASE("recomputed activations change nothing but the memory", "[trainer]") {
  auto again = plain();
  again.recompute = true;
  learning kept(plain()), recomputed(again);
  CHECK(kept.run(groups()).grad_norm == Approx(recomputed.run(groups()).grad_norm).epsilon(1e-4));
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
  learning whole(plain()), cut(tight, into(said));
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
  {
    const scarce_memory scarcer(tokens * 96 * sizeof(float) * 3 / 10); // in a later step
    cut.run(groups());
  }
  CHECK(said.size() == 2);
}

TEST_CASE("memory that never suffices is an error and not an endless loop", "[trainer]") {
  auto o = plain();
  std::vector<std::string> said;
  learning l(o, into(said));
  CHECK_THROWS_WITH(run_without_memory(l), Catch::Contains("micro-batches of "));
  CHECK(said.size() == 1); // tried in smaller parts once
}

TEST_CASE("a thread for which memory does not suffice is named", "[trainer]") {
  auto o = plain();
  o.micro_tokens = 1;
  learning l(o);
  CHECK_THROWS_WITH(run_without_memory(l),
                    Catch::Contains("memory does not suffice for a thread of ")
                        && Catch::EndsWith("in smaller parts"));
}

namespace {

/// Ends the step, and returns what the gradient of a weight was just before the update.
at::Tensor gradient_of_step(learning& l) {
  at::Tensor gradient;
  do {
    const auto now = l.weights->layers[0].qkv.grad();
    if (now.defined()) gradient = now.clone();
  } while (l.learner.advance());
  return gradient;
}

} // namespace

TEST_CASE("nothing of a step's gradient is left where it begins again in smaller parts",
          "[trainer]") {
  auto o = plain();
  o.micro_tokens = learning(plain()).run(groups()).tokens / 3;
  std::vector<std::string> said;
  learning undisturbed(o, into(said));
  undisturbed.learner.begin(groups(), 1, 1e-3);
  undisturbed.learner.advance();
  int needed = 0; // by the second micro-batch
  {
    const scarce_memory counted([&](std::size_t) { return ++needed; });
    undisturbed.learner.advance();
  }
  const auto expected = gradient_of_step(undisturbed);
  const auto scale = expected.abs().max().item<double>();
  REQUIRE(said.empty());
  REQUIRE(scale > 0);
  for (const int refused : {1, needed / 4, 3 * needed / 4, needed}) { // the backward pass, too
    learning l(o, into(said));
    l.learner.begin(groups(), 1, 1e-3);
    l.learner.advance();
    {
      int asked = 0;
      const scarce_memory scarce([&](std::size_t) { return ++asked != refused; });
      l.learner.advance();
    }
    REQUIRE(said.size() == 1);
    said.clear();
    CHECK((gradient_of_step(l) - expected).abs().max().item<double>() < 1e-4 * scale);
  }
}

TEST_CASE("a step that has made an update does not begin again in smaller parts", "[trainer]") {
  auto o = plain();
  o.inner_steps = 2;
  std::vector<std::string> said;
  learning l(o, into(said)), undisturbed(o);
  const auto before = copy_of(*l.weights);
  l.learner.begin(groups(), 1, 1e-3);
  l.learner.advance(); // the only micro-batch
  l.learner.advance(); // the first update
  REQUIRE(difference(*l.weights, *before) > 0);
  {
    const scarce_memory scarce(1024);
    CHECK_THROWS(l.learner.advance());
  }
  CHECK(said.empty());
  l.learner.undo(*before);
  CHECK(difference(*l.weights, *before) == 0);
  l.run(groups());
  undisturbed.run(groups());
  CHECK(difference(*l.weights, *undisturbed.weights) == 0);
}
