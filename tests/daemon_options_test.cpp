#include "apps/banyand/daemon_options.hpp"

#include "apps/failure.hpp"
#include "apps/seconds.hpp"

#include <limits>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

TEST_CASE("times that no clock counts are a century and not the past", "[apps]") {
  CHECK(milliseconds_of(0) == 0ms);
  CHECK(milliseconds_of(0.25) == 250ms);
  CHECK(milliseconds_of(3e9) == 3'000'000'000s);
  for (const auto long_s : {1e10, 1e18, 1e300, std::numeric_limits<double>::infinity()}) {
    const auto now = std::chrono::steady_clock::now();
    CHECK(milliseconds_of(long_s) > 24h * 365 * 99);
    CHECK(now + milliseconds_of(long_s) > now);
  }
  CHECK(milliseconds_of(-1e300) == 0ms);
}

TEST_CASE("a store's size that cannot be counted in bytes is refused", "[apps]") {
  daemon_options o;
  // 2 ** 64 bytes and a little: counted in 64 bits they would be half a megabyte.
  CHECK_THROWS_AS(parse(o, words{"--config", "/dev/null", "--data-dir", "x", "--keep-megabytes",
                                 "18446744073710"}),
                  bad_usage);
  CHECK(parse(
      o, words{"--config", "/dev/null", "--data-dir", "x", "--keep-megabytes", "1000000000000"}));
  CHECK(o.keep.max_bytes == 1'000'000'000'000'000'000u);
}

TEST_CASE("trees that are kept for ever by their number of days are kept", "[apps]") {
  daemon_options o;
  CHECK(parse(o, words{"--config", "/dev/null", "--data-dir", "x", "--keep-days", "1e300"}));
  CHECK(o.keep.max_age_s > 1e300);
}

} // namespace
} // namespace banyan
