#include "gpu_pool/leases.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

struct some_leases {
  void keep(std::uint64_t family_age, const std::string& thread, int num_blocks = 1) {
    lease kept;
    for (int i = 0; i < num_blocks; ++i) kept.held.blocks.push_back(blocks.take(0));
    table.keep(family_age, thread, std::move(kept));
  }

  block_pool blocks{32, 16};
  lease_table table;
};

} // namespace

TEST_CASE("a path covers itself and what is below it and nothing else", "[pool]") {
  CHECK(covers("/0", "/0"));
  CHECK(covers("/0", "/0/3"));
  CHECK(covers("/0", "/0/3/1"));
  CHECK_FALSE(covers("/0", "/01"));
  CHECK_FALSE(covers("/0", "/1"));
  CHECK_FALSE(covers("/0", "/"));
  CHECK_FALSE(covers("/0/3", "/0"));
  for (auto thread : {"/", "/0", "/0/3", "/01"}) CHECK(covers("/", thread));
}

TEST_CASE_METHOD(some_leases, "releasing a path takes the whole subtree and no more", "[pool]") {
  for (auto thread : {"/", "/0", "/0/0", "/0/3", "/0/3/1", "/00", "/01", "/1", "/10"})
    keep(5, thread);
  keep(6, "/0");
  CHECK(table.take_below(5, "/0").size() == 4);
  CHECK_FALSE(table.take(5, "/0/3"));
  CHECK(table.take(5, "/01"));
  CHECK(table.take_below(5, "/").size() == 4);
  CHECK_FALSE(table.has(5));
  CHECK(table.has(6));
}

TEST_CASE_METHOD(some_leases, "the oldest family loses its leases first", "[pool]") {
  keep(2, "/", 1);
  keep(1, "/7", 2);
  keep(1, "/3", 3);
  CHECK(table.take_oldest()->held.blocks.size() == 3);
  CHECK(table.take_oldest()->held.blocks.size() == 2);
  CHECK(table.take_oldest()->held.blocks.size() == 1);
  CHECK_FALSE(table.take_oldest());
}

TEST_CASE_METHOD(some_leases, "a broken lease leaves its pin until the thread returns or goes",
                 "[pool]") {
  const auto epoch = std::make_shared<const std::uint32_t>(4);
  const auto break_one = [&](const std::string& thread) {
    table.keep(1, thread, {{}, {}, epoch});
    table.take_oldest();
  };
  for (auto thread : {"/", "/0", "/0/3", "/01"}) break_one(thread);
  CHECK(table.size() == 0);
  CHECK(table.has(1));
  CHECK(epoch.use_count() == 5);
  CHECK_FALSE(table.take(1, "/01"));
  CHECK(epoch.use_count() == 4);
  table.take_below(1, "/0");
  CHECK(epoch.use_count() == 2);
  break_one("/");
  CHECK(epoch.use_count() == 2);
  table.take_below(1, "/");
  CHECK(epoch.use_count() == 1);
  CHECK_FALSE(table.has(1));
}

TEST_CASE_METHOD(some_leases, "a thread has one lease", "[pool]") {
  keep(1, "/", 5);
  keep(1, "/", 2);
  CHECK(table.size() == 1);
  CHECK(table.num_blocks() == 2);
  CHECK(blocks.num_free() == 30);
  table.drop_unpinned();
  CHECK(table.num_blocks() == 0);
  CHECK(blocks.num_free() == 32);
}

TEST_CASE_METHOD(some_leases, "leases of pinned threads outlive those of others", "[pool]") {
  keep(1, "/", 2);
  lease pinned{{}, {}, std::make_shared<const std::uint32_t>(4)};
  pinned.held.blocks.push_back(blocks.take(4));
  table.keep(1, "/0", std::move(pinned));
  keep(2, "/", 3);
  table.drop_unpinned();
  CHECK(table.size() == 1);
  CHECK(table.num_blocks() == 1);
  CHECK(table.take(1, "/0"));
}
