#include "model/lanes.hpp"

#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("exponential is right to a few units in the last place", "[model]") {
  double worst = 0;
  for (float x = -87; x <= 87; x += 0.0137f) {
    const double exact = std::exp(double(x));
    worst = std::max(worst, std::abs(exponential<1>(lanes<1>{x})[0] - exact) / exact);
  }
  CHECK(worst < 2.5e-7);
}

TEST_CASE("exponential stays finite for every number and keeps NaN", "[model]") {
  const auto infinity = std::numeric_limits<float>::infinity();
  CHECK(exponential<1>(lanes<1>{infinity})[0] == exponential<1>(lanes<1>{87})[0]);
  CHECK(exponential<1>(lanes<1>{-infinity})[0] < 1e-37f);
  CHECK(exponential<1>(lanes<1>{-infinity})[0] > 0);
  CHECK(exponential<1>(lanes<1>{0})[0] == 1);
  CHECK(std::isnan(exponential<1>(lanes<1>{std::nanf("")})[0]));
}

TEST_CASE("floats are rounded to the nearest bfloat16 and ties to even", "[model]") {
  const auto rounded = [](float x) {
    bfloat16 result;
    store<1>(&result, lanes<1>{x});
    return to_float(result);
  };
  CHECK(rounded(1) == 1);
  CHECK(rounded(-2.5f) == -2.5f);
  CHECK(rounded(1 + 0x1p-8f) == 1);           // a tie; 1 is even
  CHECK(rounded(1 + 0x3p-8f) == 1 + 0x1p-6f); // a tie; up is even
  CHECK(rounded(1 + 0x1.01p-8f) == 1 + 0x1p-7f);
  CHECK(rounded(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(rounded(std::nanf(""))));
}

TEST_CASE("lane j of sum_each is the sum of vector j", "[model]") {
  lanes<8> x[8];
  for (int j = 0; j < 8; ++j)
    for (int i = 0; i < 8; ++i) x[j][i] = static_cast<float>(100 * j + i);
  sum_each<8>(x);
  for (int j = 0; j < 8; ++j) CHECK(x[0][j] == static_cast<float>(800 * j + 28));
}

template <int W>
bool transposes() {
  lanes<W> x[W];
  for (int i = 0; i < W; ++i)
    for (int j = 0; j < W; ++j) x[i][j] = static_cast<float>(100 * i + j);
  transpose<W>(x);
  for (int i = 0; i < W; ++i)
    for (int j = 0; j < W; ++j)
      if (x[i][j] != static_cast<float>(100 * j + i)) return false;
  return true;
}

TEST_CASE("a transposition swaps lanes and vectors", "[model]") {
  CHECK(transposes<1>());
  CHECK(transposes<4>());
  CHECK(transposes<8>());
  CHECK(transposes<16>());
}
