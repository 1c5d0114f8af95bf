#include "model/recording_turn.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

constexpr int never = 1000;

/// Runs on this OS thread that do not record, before one does.
int runs_until_recording(recording_turn& turn) {
  for (int runs = 0; runs < never; ++runs)
    if (turn.comes(std::this_thread::get_id())) return runs;
  return never;
}

} // namespace

TEST_CASE("a step is recorded when it has run some times on one OS thread", "[model]") {
  recording_turn turn;
  CHECK(runs_until_recording(turn) == 1 + recording_turn::runs_before);
}

TEST_CASE("the first run on another OS thread is not recorded", "[model]") {
  recording_turn turn;
  runs_until_recording(turn);
  CHECK_FALSE(turn.comes(std::thread::id()));
  CHECK_FALSE(turn.comes(std::this_thread::get_id()));
  CHECK(turn.comes(std::this_thread::get_id()));
}

TEST_CASE("a recording that failed is tried again some runs later and a few times", "[model]") {
  recording_turn turn;
  runs_until_recording(turn);
  for (int failure = 1; failure < recording_turn::most_failures; ++failure) {
    turn.failed();
    CHECK(runs_until_recording(turn) == recording_turn::runs_before);
  }
  turn.failed();
  CHECK(runs_until_recording(turn) == never);
}
