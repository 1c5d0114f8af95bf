#include "actors/in_flight.hpp"

#include "tests/scripted_pool.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

TEST_CASE("what was heard of a request goes with its answer", "[actors]") {
  const auto codec = toy_codec();
  in_flight_request r;
  CHECK_FALSE(r.open());
  r.begin(7, detokenizer(codec, true));
  r.hear(codec.encode("ab"));
  r.hear(codec.encode("c"));
  CHECK(r.open());
  CHECK(r.heard() == codec.encode("abc"));
  CHECK(r.heard_text() == "abc");
  r.end();
  CHECK_FALSE(r.open());
  CHECK(r.heard().empty());
  CHECK(r.heard_text().empty());
  CHECK(r.granted() == 7); // it may be asked for again
}

TEST_CASE("text that is heard has whole characters", "[actors]") {
  const auto codec = toy_codec();
  in_flight_request r;
  r.begin(7, detokenizer(codec, true));
  r.hear(codec.encode("\xc3"));
  CHECK(r.heard().size() == 1);
  CHECK(r.heard_text().empty());
  r.hear(codec.encode("\xbc"));
  CHECK(r.heard_text() == "\xc3\xbc");
  r.begin(7, detokenizer(codec, true)); // what was held back belongs to the request before
  r.hear(codec.encode("a"));
  CHECK(r.heard_text() == "a");
}

TEST_CASE("a full pool is asked again later each time until one takes the request", "[actors]") {
  in_flight_request r;
  CHECK_FALSE(r.backs_off());
  CHECK(r.back_off() == 10ms);
  CHECK(r.back_off() == 20ms);
  for (int i = 0; i < 10; ++i) r.back_off();
  CHECK(r.back_off() == 1s);
  CHECK(r.backs_off());
  r.stop_backing_off();
  CHECK_FALSE(r.backs_off());
  CHECK(r.back_off() == 10ms);
}

} // namespace
} // namespace banyan
