#include "gpu_pool/prefix_cache.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace banyan;
using ids = std::vector<std::int32_t>;

namespace {

struct small_cache {
  explicit small_cache(std::int32_t num_blocks = 8) : blocks(num_blocks, 2), cache(blocks) {}
  ~small_cache() { CHECK(check() == "in order"); }

  std::string check() const {
    std::vector<std::uint32_t> held(static_cast<std::size_t>(blocks.num_blocks()));
    for (auto& user : users)
      for (auto& loan : user) ++held[static_cast<std::size_t>(loan.index())];
    if (auto wrong = cache.check(held)) return *wrong;
    return blocks.check(held).value_or("in order");
  }

  /// Adds a text of whole blocks; returns its last node.
  prefix_node* add(const ids& text, std::uint32_t epoch = 0) {
    prefix_node* last = nullptr;
    for (std::size_t at = 0; at < text.size(); at += 2) {
      auto block = blocks.take(epoch);
      REQUIRE(block);
      last = &cache.insert(last, std::span(text).subspan(at, 2), std::move(block));
    }
    return last;
  }

  std::size_t known(const ids& text, std::uint32_t epoch = 0) {
    return cache.find_prefix(text, epoch).size();
  }

  block_pool blocks;
  prefix_cache cache;
  std::vector<std::vector<block_ref>> users{6}; // and what they hold
};

} // namespace

TEST_CASE_METHOD(small_cache, "the longest known prefix is found in whole blocks", "[pool]") {
  add({1, 2, 3, 4});
  add({1, 2, 5, 6});
  CHECK(known({1, 2, 3, 4, 7, 8}) == 2);
  CHECK(known({1, 2, 5, 6}) == 2);
  CHECK(known({1, 2, 3}) == 1);
  CHECK(known({1, 2, 3, 5}) == 1);
  CHECK(known({1, 3, 3, 4}) == 0);
  CHECK(known({3, 4}) == 0); // known only after {1, 2}
  CHECK(known({}) == 0);
}

TEST_CASE_METHOD(small_cache, "a block that comes twice is kept once", "[pool]") {
  auto first = add({1, 2, 3, 4});
  CHECK(add({1, 2, 3, 4}) == first);
  CHECK(cache.size() == 2);
  CHECK(blocks.num_free() == 6);
}

TEST_CASE_METHOD(small_cache, "another epoch knows nothing of a text", "[pool]") {
  add({1, 2, 3, 4}, 1);
  CHECK(known({1, 2, 3, 4}, 1) == 2);
  CHECK(known({1, 2, 3, 4}, 2) == 0);
  add({1, 2, 3, 4}, 2);
  CHECK(cache.size() == 4);
  CHECK(known({1, 2, 3, 4}, 2) == 2);
}

TEST_CASE_METHOD(small_cache, "leaves are evicted least recently used first", "[pool]") {
  add({1, 2, 3, 4});
  add({1, 2, 5, 6});
  add({7, 8});
  known({1, 2, 3, 4}); // used again
  REQUIRE(cache.evict());
  CHECK(known({1, 2, 5, 6}) == 1);
  REQUIRE(cache.evict());
  CHECK(known({7, 8}) == 0);
  REQUIRE(cache.evict());
  CHECK(known({1, 2, 3, 4}) == 1); // its leaf is gone, not its begin
  REQUIRE(cache.evict());
  CHECK_FALSE(cache.evict());
  CHECK(blocks.num_free() == 8);
}

TEST_CASE_METHOD(small_cache, "a block that somebody uses is not evicted", "[pool]") {
  auto used = add({1, 2, 3, 4});
  add({5, 6});
  users[0].push_back(used->parent->block.share());
  users[0].push_back(used->block.share());
  CHECK(cache.evict());
  CHECK_FALSE(cache.evict());
  CHECK(known({1, 2, 3, 4}) == 2);
  users[0].clear();
  CHECK(cache.evict());
  CHECK(cache.evict());
}

TEST_CASE_METHOD(small_cache, "what weights that are gone made is forgotten while there is room",
                 "[pool]") {
  add({1, 2, 3, 4});
  const auto* kept = add({5, 6}, 1);
  users[0].push_back(kept->block.share());
  add({9, 10}, 1);
  add({7, 8}, 2);
  CHECK_FALSE(cache.evict_gone());
  cache.forget_before(2);
  CHECK(cache.evict_gone());
  CHECK(cache.evict_gone());
  CHECK(known({1, 2}) == 0);
  CHECK_FALSE(cache.evict_gone()); // somebody uses it
  CHECK(cache.evict_gone());       // what is behind it
  CHECK(known({9, 10}, 1) == 0);
  CHECK_FALSE(cache.evict_gone());
  CHECK(known({5, 6}, 1) == 1);
  CHECK(known({7, 8}, 2) == 1);
}

TEST_CASE("random use and eviction keep a cache's books in order", "[pool]") {
  small_cache it(40);
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    ids text(2 * (1 + random() % 5));
    for (auto& id : text) id = static_cast<std::int32_t>(random() % 2);
    auto& loans = it.users[random() % it.users.size()];
    loans.clear();
    prefix_node* last = nullptr;
    for (auto node : it.cache.find_prefix(text, 0)) loans.push_back((last = node)->block.share());
    while (loans.size() * 2 < text.size()) {
      if (it.blocks.num_free() == 0 && !it.cache.evict()) break;
      auto block = it.blocks.take(0);
      REQUIRE(block);
      last = &it.cache.insert(last, std::span(text).subspan(loans.size() * 2, 2), std::move(block));
      loans.push_back(last->block.share());
    }
    if (random() % 3 == 0) loans.clear();
    REQUIRE(it.check() == "in order");
  }
}
