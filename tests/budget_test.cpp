#include "actors/budget.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{};

TEST_CASE("a budget counts threads and depth", "[actors]") {
  tree_ledger ledger({.max_depth = 1, .max_threads = 2});
  CHECK(ledger.open_thread(0) == errc::none);
  CHECK(ledger.open_thread(2) == errc::budget_spent);
  CHECK(ledger.open_thread(1) == errc::none);
  CHECK(ledger.open_thread(1) == errc::budget_spent);
}

TEST_CASE("a zero limit of threads and rounds is no limit", "[actors]") {
  tree_ledger ledger({.max_threads = 0});
  thread_allowance thread({.max_rounds = 0}, start);
  for (int i = 0; i < 1000; ++i) {
    CHECK(ledger.open_thread(1) == errc::none);
    CHECK(thread.open_round());
  }
}

TEST_CASE("a zero depth lets nobody spawn", "[actors]") {
  tree_ledger ledger({.max_depth = 0});
  CHECK(ledger.open_thread(0) == errc::none);
  CHECK(ledger.open_thread(1) == errc::budget_spent);
}

TEST_CASE("what a thread sampled is taken from its tokens", "[actors]") {
  thread_allowance thread({.max_tokens = 100}, start);
  thread.spend(60);
  CHECK(thread.tokens_left() == 40);
  thread.spend(60);
  CHECK(thread.tokens_left() == 0);
}

TEST_CASE("a context limit leaves room for what is not there yet", "[actors]") {
  const thread_allowance thread({.max_context = 100}, start);
  CHECK(thread.room(60) == 40);
  CHECK(thread.room(160) == 0);
  CHECK(thread_allowance({}, start).room(160) == thread_allowance::unlimited);
}

TEST_CASE("a thread has so many rounds and no more", "[actors]") {
  thread_allowance thread({.max_rounds = 2}, start);
  CHECK(thread.open_round());
  CHECK(thread.open_round());
  CHECK_FALSE(thread.open_round());
}

TEST_CASE("time left is never negative", "[actors]") {
  const auto deadline = deadline_of({.deadline_s = 1.5}, start);
  thread_allowance thread({}, deadline);
  CHECK(thread.time_left(start + 1s) == 500ms);
  CHECK(thread.time_left(start + 2s) == 0s);
}

TEST_CASE("a budget without a deadline ends after a day", "[actors]") {
  CHECK(deadline_of({.deadline_s = 0}, start) == start + 24h);
  CHECK(deadline_of({.deadline_s = 1e12}, start) == start + 24h);
}

TEST_CASE("the grants of a tree never exceed its tokens", "[actors]") {
  tree_ledger ledger({.max_tree_tokens = 1000});
  std::uint64_t granted = 0;
  for (int round = 0; round < 100; ++round)
    granted += ledger.reserve("/" + std::to_string(round), 0, 300);
  CHECK(granted == 1000);
  CHECK(ledger.tokens_left() == 0);
}

TEST_CASE("what was granted and not sampled is free again", "[actors]") {
  tree_ledger ledger({.max_tree_tokens = 100});
  const auto first = ledger.reserve("/", 0, 100);
  CHECK(ledger.tokens_left() == 100 - first);
  CHECK(ledger.reserve("/", 5, 0) == 0);
  CHECK(ledger.tokens_left() == 95);
  ledger.settle("/", 5);
  CHECK(ledger.tokens_left() == 95);
}

TEST_CASE("a thread that ended in the dark has used all that it was granted", "[actors]") {
  tree_ledger ledger({.max_tree_tokens = 100});
  const auto granted = ledger.reserve("/", 0, 20);
  ledger.forfeit("/");
  CHECK(ledger.tokens_left() == 100 - granted);
}

TEST_CASE("a pool that samples more than it may empties the budget and no more", "[actors]") {
  tree_ledger ledger({.max_tree_tokens = 100});
  ledger.reserve("/", 0, 20);
  ledger.settle("/", 500);
  CHECK(ledger.tokens_left() == 0);
  CHECK(ledger.reserve("/0", 0, 10) == 0);
}

TEST_CASE("without a token budget every wish is granted", "[actors]") {
  tree_ledger ledger({.max_tree_tokens = 0});
  CHECK(ledger.reserve("/", 0, 123456) == 123456);
}

} // namespace
} // namespace banyan
