#include "trainer/grpo.hpp"

#include <cmath>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// One token, given as probabilities; the loss and its derivative by log π.
struct one_token {
  double now, old, sampled;
  double advantage = 1, weight = 1, reference = 0;
  grpo_options options{.kl = 0, .importance_cap = 0};
  grpo_figures figures{};
  double slope = 0;

  double loss() {
    auto log = [](double p) { return at::tensor({static_cast<float>(std::log(p))}); };
    auto logprobs = log(now).requires_grad_(true);
    const grpo_terms terms{log(sampled), at::tensor({static_cast<float>(advantage)}),
                           at::tensor({static_cast<float>(weight)})};
    auto value = grpo_loss(logprobs, log(old), reference > 0 ? log(reference) : at::Tensor(), terms,
                           options, figures);
    value.backward();
    slope = logprobs.grad().item<double>();
    return value.item<double>();
  }
};

} // namespace

TEST_CASE("the loss is minus the ratio times the advantage inside the clip", "[trainer]") {
  one_token t{.now = 0.44, .old = 0.4, .sampled = 0.4, .advantage = 2, .weight = 0.5};
  CHECK(t.loss() == Approx(-1.1 * 2 * 0.5));
  CHECK(t.slope == Approx(-1.1)); // d r / d log π = r
  CHECK(t.figures.clipped == 0);
}

TEST_CASE("a good token gains nothing beyond the upper clip", "[trainer]") {
  one_token t{.now = 0.5, .old = 0.4, .sampled = 0.4};
  CHECK(t.loss() == Approx(-1.2));
  CHECK(t.slope == 0);
  CHECK(t.figures.clipped == 1);
}

TEST_CASE("the upper clip may be higher than the lower one", "[trainer]") {
  one_token t{.now = 0.5, .old = 0.4, .sampled = 0.4};
  t.options.clip_high = 0.28;
  CHECK(t.loss() == Approx(-1.25));
}

TEST_CASE("a bad token that became rarer gains nothing beyond the lower clip", "[trainer]") {
  one_token t{.now = 0.2, .old = 0.4, .sampled = 0.4, .advantage = -1};
  CHECK(t.loss() == Approx(0.8));
  CHECK(t.slope == 0);
}

TEST_CASE("the lower clip may be further away than the upper one", "[trainer]") {
  one_token t{.now = 0.2, .old = 0.4, .sampled = 0.4, .advantage = -1};
  t.options.clip_low = 0.3;
  CHECK(t.loss() == Approx(0.7));
  CHECK(t.slope == 0);
}

TEST_CASE("a bad token that became likelier is not clipped", "[trainer]") {
  one_token t{.now = 0.5, .old = 0.4, .sampled = 0.4, .advantage = -1};
  CHECK(t.loss() == Approx(1.25));
  CHECK(t.slope == Approx(1.25));
}

TEST_CASE("a token is corrected for other weights having sampled it up to the cap", "[trainer]") {
  one_token twice{.now = 0.4, .old = 0.4, .sampled = 0.2};
  twice.options.importance_cap = 3;
  CHECK(twice.loss() == Approx(-2));
  one_token capped{.now = 0.4, .old = 0.4, .sampled = 0.1};
  capped.options.importance_cap = 3;
  CHECK(capped.loss() == Approx(-3));
  CHECK(capped.figures.importance == Approx(3));
  CHECK(capped.figures.lag == Approx(std::log(4)));
  one_token off{.now = 0.4, .old = 0.4, .sampled = 0.1};
  CHECK(off.loss() == Approx(-1));
}

TEST_CASE("the distance to the reference is the k3 estimate", "[trainer]") {
  one_token t{.now = 0.5, .old = 0.5, .sampled = 0.5, .advantage = 0, .reference = 0.4};
  t.options.kl = 10;
  const auto k3 = 0.8 - std::log(0.8) - 1;
  CHECK(t.loss() == Approx(10 * k3).epsilon(1e-4));
  CHECK(t.slope == Approx(10 * (1 - 0.8)).epsilon(1e-4)); // d k3 / d log π = 1 - π_ref / π
  CHECK(t.figures.kl == Approx(k3).epsilon(1e-4));
}

TEST_CASE("a token that has become rare adds no more than the bound and has no gradient",
          "[trainer]") {
  // ln(0.5 / 0.01) = 3.912: k3 = 50 - 3.912 - 1 = 45.088
  one_token t{.now = 0.01, .old = 0.01, .sampled = 0.01, .advantage = 0, .reference = 0.5};
  t.options.kl = 2;
  CHECK(t.loss() == Approx(2 * 10));
  CHECK(t.slope == 0);
  CHECK(t.figures.kl == Approx(10));
  CHECK(t.figures.kl_max == Approx(45.088).epsilon(1e-4));
  t.options.kl_max = 46;
  CHECK(t.loss() == Approx(2 * 45.088).epsilon(1e-4));
  CHECK(t.slope == Approx(2 * (1 - 50)).epsilon(1e-4));
  t.options.kl_max = 0;
  CHECK(t.loss() == Approx(2 * 45.088).epsilon(1e-4));
}

TEST_CASE("a distance that no float holds is bounded without spoiling the gradient", "[trainer]") {
  one_token t{.now = 1e-45, .old = 1e-45, .sampled = 1e-45, .advantage = 0, .reference = 0.5};
  t.options.kl = 1;
  CHECK(t.loss() == Approx(10));
  CHECK(t.slope == 0);
}

TEST_CASE("figures of batches have the largest distance of any token", "[trainer]") {
  grpo_figures sums{.terms = 1, .kl = 2, .kl_max = 2};
  sums += {.terms = 1, .kl = 7, .kl_max = 7};
  sums += {.terms = 1, .kl = 3, .kl_max = 3};
  CHECK(sums.kl == 12);
  CHECK(sums.kl_max == 7);
}

TEST_CASE("a policy that is its reference is at no distance", "[trainer]") {
  one_token t{.now = 0.5, .old = 0.5, .sampled = 0.5, .advantage = 0, .reference = 0.5};
  t.options.kl = 10;
  CHECK(t.loss() == 0);
  CHECK(t.slope == 0);
}

TEST_CASE("a token's weight is that of its distance too and its correction is not", "[trainer]") {
  const auto log = [](double a, double b) { return at::tensor({a, b}).to(at::kFloat).log(); };
  auto logprobs = log(0.5, 0.2).requires_grad_(true);
  const grpo_terms terms{log(0.25, 0.5), at::tensor({1.F, -2.F}), at::tensor({0.5F, 0.25F})};
  const grpo_options options{.clip_low = 0.1, .clip_high = 0.3, .kl = 2, .importance_cap = 2};
  grpo_figures figures;
  auto loss = grpo_loss(logprobs, log(0.4, 0.25), log(0.25, 0.4), terms, options, figures);
  // r = 1.25 and 0.8, the latter clipped to 0.9; ρ = 1.6 and 0.5; π_ref / π = 0.5 and 2
  const auto near = 0.5 - std::log(0.5) - 1, far = 2 - std::log(2) - 1;
  CHECK(loss.item<double>()
        == Approx(0.5 * (-1.6 * 1.25 * 1 + 2 * near) + 0.25 * (-0.5 * 0.9 * -2 + 2 * far)));
  loss.backward();
  CHECK(logprobs.grad()[0].item<double>() == Approx(0.5 * (-1.6 * 1.25 + 2 * (1 - 0.5))));
  CHECK(logprobs.grad()[1].item<double>() == Approx(0.25 * 2 * (1 - 2)));
}
