#include "trainer/statistics.hpp"

#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// Of n problems: solved by both runs, by the first alone, by the second alone, by neither.
paired_comparison compared(int both, int first, int second, int neither) {
  std::vector<double> a, b;
  const auto add = [&](int count, double x, double y) {
    a.insert(a.end(), std::size_t(count), x);
    b.insert(b.end(), std::size_t(count), y);
  };
  add(both, 1, 1), add(first, 1, 0), add(second, 0, 1), add(neither, 0, 0);
  return compare(a, double(a.size()), b, double(b.size()));
}

TEST_CASE("an interval of zeros and ones is Wilson's", "[trainer]") {
  const std::vector<double> shares{1, 0, 0, 0};
  const auto e = mean_share(shares, 4);
  CHECK(e.value == 0.25);
  CHECK(e.ci95[0] == Approx(wilson(0.25, 4)[0]));
  CHECK(e.ci95[1] == Approx(wilson(0.25, 4)[1]));
  for (const double trials : {6, 7, 100, 999}) {
    CHECK(wilson(0, trials)[0] == 0); // not 2.8e-17
    CHECK(wilson(1, trials)[1] == 1);
  }
  CHECK(wilson(0.25, 4)[0] == Approx(0.0456).margin(1e-4));
  CHECK(wilson(0.25, 4)[1] == Approx(0.6994).margin(1e-4));
}

TEST_CASE("samples narrow an interval as far as they differ", "[trainer]") {
  const auto width = [](const std::vector<double>& shares) {
    const auto e = mean_share(shares, 40);
    return e.ci95[1] - e.ci95[0];
  };
  const auto one_each = width({1, 0, 1, 0, 1, 0, 1, 0, 1, 0});
  const auto alike = width({.5, .5, .5, .5, .5, .5, .5, .5, .5, .5});
  const auto some = width({.9, .1, .9, .1, .9, .1, .9, .1, .9, .1});
  CHECK(some < one_each);
  CHECK(alike < some);
  CHECK(alike == Approx(wilson(.5, 40)[1] - wilson(.5, 40)[0])); // no more than the trees there are
}

TEST_CASE("one of k samples is right as often as in all subsets of k", "[trainer]") {
  CHECK(pass_at(4, 1, 1) == Approx(0.25));
  CHECK(pass_at(4, 1, 2) == Approx(0.5)); // 3 of 6
  CHECK(pass_at(5, 2, 2) == Approx(0.7)); // 7 of 10
  CHECK(pass_at(4, 0, 4) == 0);
  CHECK(pass_at(4, 2, 3) == 1);
}

TEST_CASE("a paired interval is that of Newcombe's method 10", "[trainer]") {
  // His table III: 36, 12, 2, 0 of 50.
  const auto c = compared(36, 12, 2, 0);
  CHECK(c.difference.value == Approx(0.2));
  CHECK(c.difference.ci95[0] == Approx(0.0569).margin(5e-4));
  CHECK(c.difference.ci95[1] == Approx(0.3404).margin(5e-4));
}

TEST_CASE("McNemar's test is exact", "[trainer]") {
  CHECK(compared(5, 12, 2, 9).p == Approx(2 * (1 + 14 + 91) / 16384.0));
  CHECK(compared(5, 2, 12, 9).p == compared(5, 12, 2, 9).p);
  CHECK(compared(5, 3, 3, 9).p == 1);
  CHECK(compared(5, 0, 0, 9).p == 1);
  CHECK(compared(5, 12, 2, 9).wins == 12);
  CHECK(compared(5, 12, 2, 9).losses == 2);
}

TEST_CASE("runs that agree are closer than their accuracies say", "[trainer]") {
  const auto width = [](const paired_comparison& c) {
    return c.difference.ci95[1] - c.difference.ci95[0];
  };
  CHECK(width(compared(45, 5, 0, 50)) < width(compared(25, 25, 20, 30)));
}

} // namespace
} // namespace banyan
