#include "model/sampler.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

constexpr auto infinity = std::numeric_limits<float>::infinity();
constexpr std::uint64_t key = 42;

using block = std::array<std::uint32_t, 4>;

/// How often each token comes in `draws` positions.
std::vector<int> histogram(const std::vector<float>& logits, const sampler_options& options,
                           int draws, std::vector<std::int32_t> banned = {}) {
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    ++counts[std::size_t(banyan::sample(logits, options, key, std::uint64_t(i), banned).id)];
  return counts;
}

/// Pearson's statistic over probabilities that sum to 1; tokens of probability 0 must not come.
double chi_square(const std::vector<int>& counts, const std::vector<double>& probabilities) {
  const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0) {
      CHECK(counts[i] == 0);
      continue;
    }
    const auto expected = draws * probabilities[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> result;
  for (auto p : probabilities) result.push_back(static_cast<float>(std::log(p)));
  return result;
}

std::set<std::int32_t> drawn(const std::vector<float>& logits, const sampler_options& options,
                             std::vector<std::int32_t> banned = {}) {
  std::set<std::int32_t> ids;
  for (std::uint64_t i = 0; i < 2000; ++i)
    ids.insert(banyan::sample(logits, options, key, i, banned).id);
  return ids;
}

using ids = std::set<std::int32_t>;

const std::vector<double> quarters{0.1, 0.4, 0.2, 0.05, 0.25};

} // namespace

TEST_CASE("philox gives the published answers", "[model]") {
  // Known-answer vectors of Random123.
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff})
        == block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0})
        == block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers are even over the unit interval and differ in every argument",
          "[model]") {
  std::vector<int> counts(50);
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    const auto u = philox_uniform(1, 2, i);
    REQUIRE((u >= 0 && u < 1));
    ++counts[std::size_t(u * 50)];
  }
  CHECK(chi_square(counts, std::vector<double>(50, 0.02)) < 94); // 99.99 % of 49 degrees
  const ids none;
  std::set<double> all;
  for (std::uint64_t high : {std::uint64_t{0}, std::uint64_t{1} << 32})
    for (std::uint64_t low : {0, 1}) {
      all.insert(philox_uniform(high + low, 9, 9));
      all.insert(philox_uniform(8, high + low, 9));
      all.insert(philox_uniform(8, 8, high + low));
    }
  CHECK(all.size() == 12);
}

TEST_CASE("greedy sampling takes the likeliest token and the lowest id among equals", "[model]") {
  CHECK(banyan::sample(std::vector<float>{1, 3, 2, 3}, {}, key, 0).id == 1);
  CHECK(banyan::sample(std::vector<float>{1, 3, 2, 3}, {}, key, 0, std::vector<std::int32_t>{1}).id
        == 3);
  CHECK(banyan::sample(std::vector<float>{-infinity, -5}, {}, key, 0).id == 1);
}

TEST_CASE("the logprob is that of the whole distribution under the temperature", "[model]") {
  const auto logits = logs(quarters);
  CHECK(banyan::sample(logits, {}, key, 0).logprob == Approx(std::log(0.4)));
  const std::vector<std::int32_t> banned{1};
  CHECK(banyan::sample(logits, {}, key, 0, banned).logprob == Approx(std::log(0.25)));
  // At temperature 1/2 probabilities are squared; filters do not change the logprob.
  double squares = 0;
  for (auto p : quarters) squares += p * p;
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto token =
        banyan::sample(logits, {.temperature = 0.5, .top_k = 3, .top_p = 0.9f}, key, i, banned);
    const auto p = quarters[std::size_t(token.id)];
    CHECK(token.logprob == Approx(std::log(p * p / squares)).epsilon(1e-5));
  }
}

TEST_CASE("the likeliest tokens come likeliest first and lower ids before higher ones", "[model]") {
  const std::vector<float> logits{1, 3, -2, 3, 0};
  std::vector<sampled_token> told{{7, 0}};
  append_likeliest(logits, 2, 3, told);
  REQUIRE(told.size() == 4); // behind what was there
  const double mass = std::exp(0.5) + 2 * std::exp(1.5) + std::exp(-1.0) + 1;
  const std::vector<std::pair<std::int32_t, double>> expected{{1, 1.5}, {3, 1.5}, {0, 0.5}};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(told[i + 1].id == expected[i].first);
    CHECK(told[i + 1].logprob == Approx(expected[i].second - std::log(mass)));
    CHECK(score(logits, 2, told[i + 1].id).logprob == told[i + 1].logprob);
  }
  append_likeliest(logits, 0, 100, told);
  CHECK(told.size() == 9);
  CHECK(told.back().id == 2);
}

TEST_CASE("logprobs are finite for logits of any size", "[model]") {
  const std::vector<float> wild{3e38f, -3e38f, 0};
  CHECK(banyan::sample(wild, {}, key, 0).logprob == 0);
  const auto token =
      banyan::sample(wild, {.temperature = 1e-3f}, key, 0, std::vector<std::int32_t>{0});
  CHECK(token.id == 2);
  CHECK(std::isfinite(token.logprob));
  CHECK(token.logprob < -1e38f);
}

TEST_CASE("tokens come as often as the distribution says", "[model]") {
  CHECK(chi_square(histogram(logs(quarters), {.temperature = 1}, 20'000), quarters) < 23.5);
  const std::vector<double> squared{0.01 / 0.275, 0.16 / 0.275, 0.04 / 0.275, 0.0025 / 0.275,
                                    0.0625 / 0.275};
  CHECK(chi_square(histogram(logs(quarters), {.temperature = 0.5}, 20'000), squared) < 23.5);
}

TEST_CASE("filters leave the proportions of what they keep", "[model]") {
  const auto logits = logs(quarters);
  const std::vector<double> two{0, 0.4 / 0.65, 0, 0, 0.25 / 0.65};
  CHECK(chi_square(histogram(logits, {.temperature = 1, .top_k = 2}, 20'000), two) < 15.2);
  CHECK(chi_square(histogram(logits, {.temperature = 1, .top_p = 0.6f}, 20'000), two) < 15.2);
  CHECK(chi_square(histogram(logits, {.temperature = 1, .min_p = 0.6f}, 20'000), two) < 15.2);
  const std::vector<double> unbanned{0.1 / 0.6, 0, 0.2 / 0.6, 0.05 / 0.6, 0.25 / 0.6};
  CHECK(chi_square(histogram(logits, {.temperature = 1}, 20'000, {1}), unbanned) < 21.2);
}

TEST_CASE("a ban leaves the proportions of the others however likely the banned one was",
          "[model]") {
  auto logits = logs(quarters);
  auto probabilities = quarters;
  probabilities.push_back(0);
  for (const float favourite : {0.0f, 30.0f, 60.0f, 86.0f, 100.0f, 3e38f}) {
    logits.resize(quarters.size());
    logits.push_back(favourite);
    CAPTURE(favourite);
    CHECK(chi_square(histogram(logits, {.temperature = 1}, 20'000, {5}), probabilities) < 23.5);
  }
}

TEST_CASE("rows of every length are weighed to their ends", "[model]") {
  for (std::size_t size = 1; size < 100; ++size) {
    std::vector<float> logits(size);
    double mass = 0, squares = 0;
    for (std::size_t i = 0; i < size; ++i) {
      logits[i] = static_cast<float>(3 * philox_uniform(size, 1, i));
      mass += std::exp(logits[i]);
      squares += std::exp(2.0 * logits[i]);
    }
    const auto last = static_cast<std::int32_t>(size - 1);
    CHECK(score(logits, 1, last).logprob
          == Approx(logits.back() - std::log(mass)).epsilon(1e-5).margin(1e-6));
    CHECK(score(logits, 0.5, 0).logprob
          == Approx(2 * logits[0] - std::log(squares)).epsilon(1e-5).margin(1e-6));
    auto damaged = logits;
    damaged.back() = std::nanf("");
    CHECK_THROWS_AS(score(damaged, 1, 0), std::domain_error);
  }
}

TEST_CASE("bans alone leave the tokens that a filter which keeps all leaves", "[model]") {
  for (const std::size_t size : {3, 16, 68, 301}) {
    std::vector<float> logits(size);
    for (std::size_t i = 0; i < size; ++i)
      logits[i] = static_cast<float>(9 * philox_uniform(size, 2, i));
    const std::vector<std::int32_t> banned{1, 1, -1, 1000, static_cast<std::int32_t>(size - 1)};
    for (std::uint64_t i = 0; i < 500; ++i) {
      const auto fast = banyan::sample(logits, {.temperature = 1.5f}, key, i, banned);
      const auto slow = banyan::sample(logits, {.temperature = 1.5f, .top_k = 999}, key, i, banned);
      REQUIRE(fast.id == slow.id);
      REQUIRE(fast.logprob == slow.logprob);
    }
  }
}

TEST_CASE("top-k keeps lower ids among equal logits", "[model]") {
  CHECK(drawn({0, 1, 1, 1, 0}, {.temperature = 1, .top_k = 2}) == ids{1, 2});
  CHECK(drawn({0, 1, 1, 1, 0}, {.temperature = 1, .top_k = 1}) == ids{1});
  CHECK(drawn({0, 1, 1, 1, 0}, {.temperature = 1, .top_k = 9}) == ids{0, 1, 2, 3, 4});
}

TEST_CASE("top-p keeps the smallest set that holds its share", "[model]") {
  const auto logits = logs({0.5, 0.25, 0.125, 0.125});
  CHECK(drawn(logits, {.temperature = 1, .top_p = 0.5f}) == ids{0});
  CHECK(drawn(logits, {.temperature = 1, .top_p = 0.51f}) == ids{0, 1});
  CHECK(drawn(logits, {.temperature = 1, .top_p = 0}) == ids{0});
  CHECK(drawn(logits, {.temperature = 1, .top_p = 1}) == ids{0, 1, 2, 3});
}

TEST_CASE("top-p counts only what bans and top-k left", "[model]") {
  const auto logits = logs({0.5, 0.25, 0.125, 0.125});
  CHECK(drawn(logits, {.temperature = 1, .top_p = 0.5f}, {0}) == ids{1});
  CHECK(drawn(logits, {.temperature = 1, .top_k = 2, .top_p = 0.6f}) == ids{0});
}

TEST_CASE("min-p is relative to the likeliest token that is not banned", "[model]") {
  const auto logits = logs({0.6, 0.2, 0.15, 0.05});
  CHECK(drawn(logits, {.temperature = 1, .min_p = 0.5f}) == ids{0});
  CHECK(drawn(logits, {.temperature = 1, .min_p = 0.5f}, {0}) == ids{1, 2});
  CHECK(drawn(logits, {.temperature = 1, .min_p = 7}) == ids{0});
}

TEST_CASE("the last token that is not banned is always taken", "[model]") {
  const std::vector<float> logits{50, -40, 50, 50};
  for (const float temperature : {0.0f, 1e-30f, 1.0f, 1e30f})
    CHECK(drawn(logits, {.temperature = temperature, .top_k = 1, .top_p = 0.1f, .min_p = 1},
                {0, 2, 3, 3, -1, 4, 1'000'000})
          == ids{1});
}

TEST_CASE("a tiny temperature is greedy and a huge one is even", "[model]") {
  CHECK(drawn({1, 1.0001f, 0}, {.temperature = 1e-30f}) == ids{1});
  CHECK(drawn({1, 1.0001f, 0}, {.temperature = std::numeric_limits<float>::denorm_min()})
        == ids{1});
  const std::vector<double> thirds(3, 1.0 / 3);
  CHECK(chi_square(histogram({-90, 0, 90}, {.temperature = 1e30f}, 20'000), thirds) < 18.5);
}

TEST_CASE("damaged logits and an empty choice are errors", "[model]") {
  for (const sampler_options& options : {sampler_options{}, sampler_options{.temperature = 1}}) {
    CHECK_THROWS_AS(banyan::sample(std::vector<float>{0, std::nanf("")}, options, key, 0),
                    std::domain_error);
    CHECK_THROWS_AS(banyan::sample(std::vector<float>{infinity, 0}, options, key, 0),
                    std::domain_error);
    CHECK_THROWS_AS(banyan::sample(std::vector<float>{-infinity}, options, key, 0),
                    std::domain_error);
    CHECK_THROWS_AS(banyan::sample({}, options, key, 0), std::domain_error);
    CHECK_THROWS_AS(
        banyan::sample(std::vector<float>{1, 2}, options, key, 0, std::vector<std::int32_t>{0, 1}),
        std::domain_error);
  }
}

TEST_CASE("a token is a function of seed and thread and position alone", "[model]") {
  std::vector<float> logits(64, 0);
  const auto ids_of = [&](std::uint64_t seed, std::uint64_t thread) {
    std::vector<std::int32_t> result;
    for (std::uint64_t i = 0; i < 20; ++i)
      result.push_back(banyan::sample(logits, {.temperature = 1, .seed = seed}, thread, i).id);
    return result;
  };
  const auto first = ids_of(1, thread_key("/0"));
  banyan::sample(std::vector<float>(1000, 1), {.temperature = 1, .top_k = 3}, 7,
                 7); // must leave no trace
  CHECK(ids_of(1, thread_key("/0")) == first);
  CHECK(ids_of(2, thread_key("/0")) != first);
  CHECK(ids_of(1, thread_key("/1")) != first);
}

TEST_CASE("thread keys are stable and differ between threads", "[model]") {
  CHECK(thread_key("") == 0xcbf29ce484222325); // FNV-1a's published vectors
  CHECK(thread_key("a") == 0xaf63dc4c8601ec8c);
  CHECK(thread_key("foobar") == 0x85944171f73967e8);
  std::set<std::uint64_t> keys;
  for (int i = 0; i < 100; ++i)
    for (int j = 0; j < 100; ++j)
      keys.insert(thread_key("/" + std::to_string(i) + "/" + std::to_string(j)));
  CHECK(keys.size() == 10'000);
}
