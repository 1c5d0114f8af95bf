#include "tests/scheduler_requests.hpp"

#include <cmath>
#include <random>
#include <set>

using namespace banyan;

TEST_CASE("a prompt that another sequence has computed is not computed again", "[pool]") {
  plain_pool pool;
  const auto shared = some_text(1, 40);
  pool.ask(request_of(0, "/", shared + some_text(2, 3), 1));
  const auto begin = pool.work.counts().computed_tokens;
  const auto reply = pool.ask(request_of(1, "/", shared + some_text(3, 3), 1));
  CHECK(reply.prompt_tokens == 43);
  CHECK(reply.cached_tokens == 40);
  CHECK(pool.work.counts().computed_tokens - begin == 3);
}

TEST_CASE("of a prompt that is known in full one block is computed for its logits", "[pool]") {
  plain_pool pool;
  const auto request = request_of(0, "/", some_text(1, 40), 10);
  CHECK(pool.ask(request).ids == pool.alone(request));
  pool.work.release(0, "/");
  const auto again = pool.ask(request_of(1, "/", request.ids, 10));
  CHECK(again.ids == pool.alone(request));
  CHECK(again.cached_tokens == 36);
}

TEST_CASE("after a join only what is new to the parent is computed", "[pool]") {
  for (std::size_t spawn_length : {1, 2, 3, 4, 9, 14}) {
    plain_pool pool;
    const auto prompt = some_text(1, 21);
    const auto reply = pool.ask(request_of(0, "/", prompt, 30));
    // The last tokens were the spawn; what the children say takes its place.
    const auto own = std::vector(reply.ids.begin(), reply.ids.end() - spawn_length);
    auto resumed = request_of(0, "/", prompt + own + some_text(9, 6), 1);
    resumed.resumes_join = true;
    const auto expected = pool.alone(resumed);
    const auto begin = pool.work.counts().computed_tokens;
    const auto after = pool.ask(resumed);
    CHECK(after.ids == expected);
    CHECK(after.cached_tokens == prompt.size() + own.size());
    CHECK(pool.work.counts().computed_tokens - begin == 6);
  }
}

TEST_CASE("a parent that shares its last block computes less than a block again", "[pool]") {
  plain_pool pool;
  const auto prompt = some_text(1, 24);
  pool.ask(request_of(0, "/", prompt, 10));
  // The text goes on differently inside the prompt, whose blocks the prefix cache has as well.
  const auto resumed =
      request_of(0, "/", std::vector(prompt.begin(), prompt.begin() + 19) + some_text(9, 6), 5);
  const auto expected = pool.alone(resumed);
  const auto after = pool.ask(resumed);
  CHECK(after.ids == expected);
  CHECK(after.cached_tokens == 16);
  CHECK(19 - after.cached_tokens < 4);
  // Nobody else's text suffered.
  const auto other = request_of(1, "/", prompt, 5);
  CHECK(pool.ask(other).ids == pool.alone(other));
}

TEST_CASE("a thread's second round finds its lease as the first did", "[pool]") {
  plain_pool pool;
  auto ids = some_text(1, 10);
  for (std::uint32_t round = 0; round < 5; ++round) {
    const auto request = request_of(0, "/", ids, 13);
    const auto reply = pool.ask(request);
    CHECK(reply.ids == pool.alone(request));
    if (round > 0) CHECK(reply.cached_tokens == ids.size() - 5);
    ids = ids + std::vector(reply.ids.begin(), reply.ids.end() - 6) + some_text(50 + round, 5);
  }
}

TEST_CASE("without a lease whole blocks of what was said are still found", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 10), 11);
  request.keep_lease = false;
  const auto reply = pool.ask(request);
  CHECK(pool.work.cache().leases().size() == 0);
  const auto more = pool.ask(request_of(1, "/7", request.ids + reply.ids + some_text(2, 2), 1));
  CHECK(more.cached_tokens == 20); // 21 tokens were said or given, the last one was not computed
}

TEST_CASE("under pressure the oldest family's leases break and cost only time", "[pool]") {
  plain_pool pool({.num_blocks = 30});
  std::vector<decode_request> parents;
  for (std::uint32_t family = 0; family < 3; ++family) {
    parents.push_back(request_of(family, "/", some_text(family, 20), 12)); // 8 blocks each
    const auto reply = pool.ask(parents.back());
    parents.back().ids = parents.back().ids + reply.ids + some_text(40 + family, 2);
  }
  CHECK(pool.work.cache().leases().size() == 3);
  auto big = request_of(9, "/", some_text(77, 40), 1); // 10 blocks, where 6 are left
  big.keep_lease = false;
  pool.ask(big);
  CHECK_FALSE(pool.work.cache().leases().has(0));
  CHECK(pool.work.cache().leases().has(1));
  CHECK(pool.work.cache().leases().has(2));
  for (auto& parent : parents) {
    const auto expected = pool.alone(parent);
    CHECK(pool.ask(parent).ids == expected);
  }
  CHECK(pool.work.counts().preempted == 0);
}

TEST_CASE("what a broken lease held is found until its blocks are needed", "[pool]") {
  plain_pool pool({.num_blocks = 30});
  auto parent = request_of(0, "/", some_text(1, 20), 12);
  parent.ids = parent.ids + pool.ask(parent).ids; // 8 blocks, of which 7 are whole
  auto big = request_of(1, "/", some_text(2, 92), 1);
  big.keep_lease = false;
  pool.ask(big); // one block more than is free
  CHECK(pool.work.cache().leases().size() == 0);
  CHECK(pool.ask(parent).cached_tokens == 28);
}

TEST_CASE("a lease is not broken where that would not help", "[pool]") {
  plain_pool pool({.num_blocks = 30});
  pool.ask(request_of(0, "/", some_text(1, 20), 12)); // its lease: 8 blocks
  auto runs = request_of(1, "/", some_text(2, 56), 8);
  runs.keep_lease = false;
  pool.submit(runs);                                    // 14 blocks, then 16
  pool.submit(request_of(2, "/", some_text(3, 76), 1)); // 19 blocks: more than are left
  while (pool.order.size() < 2) {
    CHECK(pool.work.cache().leases().has(0));
    pool.step();
  }
  pool.run();
  CHECK(pool.replies.size() == 3);
}

TEST_CASE("a thread that is broken off finds its text again only if it said it would", "[pool]") {
  for (const bool will_return : {true, false}) {
    plain_pool pool;
    auto request = request_of(0, "/", some_text(1, 10), 100);
    pool.submit(request);
    for (int i = 0; i < 14; ++i) pool.step();
    const auto ended = pool.work.cancel(0, "/", will_return);
    REQUIRE(ended.size() == 1);
    request.ids = request.ids + ended[0].reply.ids;
    CHECK(request.ids.size() == 24);
    CHECK(pool.ask(request).cached_tokens == (will_return ? 20 : 8));
  }
}

TEST_CASE("cancelled threads hold no block at the next step", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .max_batch = 4}});
  std::map<std::string, std::uint64_t> ids;
  std::uint32_t which = 0;
  for (auto thread : {"/", "/0", "/0/3", "/01", "/0/4", "/0/5"})
    ids[thread] = pool.submit(request_of(4, thread, some_text(++which, 30), 100));
  const auto other = pool.submit(request_of(5, "/0", some_text(99, 30), 20));
  for (int i = 0; i < 5; ++i) pool.step();
  std::set<std::uint64_t> ended;
  for (const auto& one : pool.work.cancel(4, "/0")) {
    CHECK(one.reply.finish == finish_reason::cancelled);
    ended.insert(one.id);
  }
  CHECK(ended == std::set{ids["/0"], ids["/0/3"], ids["/0/4"], ids["/0/5"]});
  const auto held_by_two = 2 * (30 + 5 + 3) / 4;
  CHECK(pool.blocks_obtainable() + held_by_two >= 1024);
  CHECK(pool.work.num_running() == 2);
  CHECK(pool.work.num_queued() == 1);
  pool.run();
  CHECK(pool.replies.contains(ids["/"]));
  CHECK(pool.replies.contains(ids["/01"]));
  CHECK(pool.replies.contains(other));
  CHECK(pool.replies.size() == 3);
  CHECK(pool.work.cancel(4, "/").empty());
  CHECK_FALSE(pool.work.cache().leases().has(0));
}

TEST_CASE("a released lease gives all its blocks back", "[pool]") {
  plain_pool pool;
  pool.ask(request_of(4, "/0/3", some_text(1, 30), 10));
  pool.work.release(4, "/01");
  pool.work.release(3, "/");
  CHECK(pool.work.cache().leases().size() == 1);
  pool.work.release(4, "/0");
  CHECK(pool.work.cache().leases().size() == 0);
  CHECK(pool.blocks_obtainable() == 1024);
}

TEST_CASE("new weights know nothing of what older ones computed", "[pool]") {
  plain_pool pool;
  const auto request = request_of(0, "/", some_text(1, 40), 10);
  CHECK(pool.ask(request).epochs == std::vector<std::uint32_t>(10, 0));
  CHECK(pool.ask(request).cached_tokens > 30);
  pool.renew(1, 2);
  CHECK(pool.work.cache().leases().size() == 0);
  pool.own.seed = 2;
  const auto expected = pool.alone(request);
  const auto reply = pool.ask(request);
  CHECK(reply.cached_tokens == 0);
  CHECK(reply.ids == expected);
  CHECK(reply.epochs == std::vector<std::uint32_t>(10, 1));
  CHECK(pool.ask(request).cached_tokens > 30);
}

TEST_CASE("a run whose weights change does not fill the cache with what nobody can find",
          "[pool]") {
  plain_pool pool;
  std::vector<std::size_t> free;
  for (std::uint32_t epoch = 1; epoch < 12; ++epoch) {
    auto request = request_of(epoch, "/", some_text(epoch, 40), 100);
    request.keep_lease = false;
    pool.ask(request);
    free.push_back(pool.work.cache().blocks().num_free());
    pool.renew(epoch, epoch + 1);
    pool.work.forget_epochs(1);
  }
  CHECK(free[2] < free[0]);
  CHECK(free.back() == free[3]);
}

TEST_CASE("what runs while weights change leaves nothing to be found", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 10), 30);
  request.keep_lease = false;
  const auto id = pool.submit(request);
  for (int i = 0; i < 12; ++i) pool.step();
  pool.renew(1, 2);
  pool.run();
  const auto& epochs = pool.replies.at(id).epochs;
  CHECK(std::ranges::count(epochs, 0) == 12);
  CHECK(std::ranges::count(epochs, 1) == 18);
  CHECK(std::ranges::is_sorted(epochs));
  CHECK(pool.work.cache().blocks().num_idle() == 2); // of the prompt, before
  pool.own.seed = 2;
  CHECK(pool.ask(request).ids == pool.alone(request));
}
