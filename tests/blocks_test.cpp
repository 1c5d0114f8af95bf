#include "gpu_pool/blocks.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace banyan;

TEST_CASE("a block comes back when its last loan ends", "[pool]") {
  block_pool pool(1, 16);
  auto first = pool.take(0);
  {
    auto second = first.share();
    first = {};
    CHECK(pool.num_free() == 0);
    CHECK_FALSE(pool.take(0));
  }
  CHECK(pool.num_free() == 1);
  CHECK(pool.take(0));
}

TEST_CASE("a moved loan is still one loan", "[pool]") {
  block_pool pool(2, 16);
  auto first = pool.take(0);
  const auto index = first.index();
  auto second = std::move(first);
  CHECK_FALSE(first);
  CHECK(second.index() == index);
  CHECK(pool.uses(index) == 1);
  second = pool.take(0);
  CHECK(pool.uses(index) == 0);
}

TEST_CASE("no two loans are of the same block", "[pool]") {
  block_pool pool(100, 16);
  std::vector<block_ref> loans;
  std::set<std::int32_t> seen;
  for (int round = 0; round < 3; ++round) {
    while (auto loan = pool.take(0)) {
      CHECK(seen.insert(loan.index()).second);
      loans.push_back(std::move(loan));
    }
    CHECK(seen.size() == 100);
    seen.clear();
    loans.clear();
  }
}

TEST_CASE("a block carries the epoch of its first loan", "[pool]") {
  block_pool pool(1, 16);
  auto loan = pool.take(3);
  CHECK(pool.epoch(loan.index()) == 3);
  loan = {};
  loan = pool.take(7);
  CHECK(pool.epoch(loan.index()) == 7);
}

TEST_CASE("a cached block is idle while the cache is its only user", "[pool]") {
  block_pool pool(2, 16);
  auto kept = pool.take(0);
  pool.set_cached(kept.index(), true);
  CHECK(pool.num_idle() == 1);
  {
    auto used = kept.share();
    CHECK(pool.num_idle() == 0);
  }
  CHECK(pool.num_idle() == 1);
  pool.set_cached(kept.index(), false);
  CHECK(pool.num_idle() == 0);
}

TEST_CASE("the check notices a loan that nobody can name", "[pool]") {
  block_pool pool(2, 16);
  auto loan = pool.take(0);
  std::vector<std::uint32_t> held(2);
  CHECK(pool.check(held));
  held[static_cast<std::size_t>(loan.index())] = 1;
  CHECK_FALSE(pool.check(held));
  held[static_cast<std::size_t>(loan.index())] = 2;
  CHECK(pool.check(held));
}

TEST_CASE("a pool without blocks is refused", "[pool]") {
  CHECK_THROWS_AS(block_pool(0, 16), std::invalid_argument);
  CHECK_THROWS_AS(block_pool(16, 0), std::invalid_argument);
}
