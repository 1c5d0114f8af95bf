#include "tests/plain_pool.hpp"

#include <cmath>
#include <random>
#include <set>

using namespace banyan;

namespace {

decode_request request_of(std::uint64_t family, std::string thread, std::vector<std::int32_t> ids,
                          std::uint32_t max_tokens = 20) {
  decode_request request;
  request.family = family;
  request.thread = std::move(thread);
  request.ids = std::move(ids);
  request.max_tokens = max_tokens;
  request.ban = {0}; // no early end
  return request;
}

/// Requests of many lengths; every other one is sampled, the rest greedy; some share prefixes.
std::vector<decode_request> mixed_requests(std::uint32_t how_many) {
  std::vector<decode_request> requests;
  for (std::uint32_t i = 0; i < how_many; ++i) {
    auto ids = some_text(i % 5, 3 + i % 30) + some_text(100 + i, i % 17);
    auto request = request_of(i / 3, "/" + std::to_string(i % 3), std::move(ids), 10 + i % 60);
    if (i % 2) request.sampling = {.temperature = 1.0f, .top_k = 20, .top_p = 0.9f, .seed = i};
    if (i % 4) request.ban.clear();
    requests.push_back(std::move(request));
  }
  return requests;
}

} // namespace

// ---- what is said ----

TEST_CASE("a batch says what each of its sequences says alone", "[pool]") {
  plain_pool pool;
  const auto requests = mixed_requests(60);
  for (auto& request : requests) pool.submit(request);
  pool.run();
  CHECK(pool.widest > 40);
  for (std::size_t i = 0; i < requests.size(); ++i)
    CHECK(pool.replies.at(i).ids == pool.alone(requests[i]));
}

TEST_CASE("a sequence that was preempted says what it says alone", "[pool]") {
  plain_pool pool({.num_blocks = 60});
  const auto requests = mixed_requests(60);
  for (auto& request : requests) pool.submit(request);
  pool.run();
  CHECK(pool.work.counts().preempted > 10);
  for (std::size_t i = 0; i < requests.size(); ++i)
    CHECK(pool.replies.at(i).ids == pool.alone(requests[i]));
}

TEST_CASE("a token carries its logprob under the model", "[pool]") {
  plain_pool pool;
  const auto request = request_of(0, "/", some_text(1, 9));
  const auto reply = pool.ask(request);
  const random_evaluator model(1, 1, 1, 40);
  auto ids = request.ids;
  REQUIRE(reply.logprobs.size() == reply.ids.size());
  for (std::size_t i = 0; i < reply.ids.size(); ++i) {
    const auto expected =
        banyan::sample(model.logits_after(ids), sampler_options{}, 0, ids.size(), request.ban);
    CHECK(reply.logprobs[i] == Approx(expected.logprob));
    ids.push_back(reply.ids[i]);
  }
}

namespace {

/// What the model says of each of `ids` but the first `known`, given those in front of it.
std::vector<std::vector<float>> logits_before(const std::vector<std::int32_t>& ids,
                                              std::size_t known) {
  const random_evaluator model(1, 1, 1, 40);
  std::vector<std::vector<float>> rows;
  for (auto i = known; i < ids.size(); ++i) rows.push_back(model.logits_after({ids.data(), i}));
  return rows;
}

/// Whether these are the `count` likeliest tokens of each row with their logprobs.
bool are_likeliest(const std::vector<token_chance>& told, std::size_t count,
                   const std::vector<std::vector<float>>& rows) {
  std::vector<sampled_token> expected;
  for (const auto& row : rows) append_likeliest(row, 1, count, expected);
  return std::ranges::equal(told, expected, [](const token_chance& a, const sampled_token& b) {
    return a.id == b.id && a.logprob == b.logprob;
  });
}

} // namespace

TEST_CASE("the likeliest tokens of each place are the model's", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 9));
  request.likeliest = 3;
  request.sampling = {.temperature = 1, .seed = 4};
  const auto beside = pool.submit(request_of(1, "/", some_text(2, 9)));
  const auto reply = pool.ask(request);
  CHECK(are_likeliest(reply.likeliest, 3, logits_before(request.ids + reply.ids, 9)));
  CHECK(reply.prompt_logprobs.empty());
  CHECK(pool.replies.at(beside).likeliest.empty());
  request.likeliest = max_likeliest + 1;
  CHECK(pool.work.submit(99, request) == errc::bad_request);
}

TEST_CASE("a prompt is scored however it is cut and whatever is known of it", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .prefill_tokens = 7}});
  auto request = request_of(0, "/", some_text(1, 30));
  const auto plain = pool.ask(request); // its blocks can be found now
  request.scores_prompt = true;
  request.likeliest = 2;
  const auto reply = pool.ask(request);
  CHECK(reply.ids == plain.ids);
  CHECK(reply.cached_tokens == 0);
  const auto rows = logits_before(request.ids, 1);
  CHECK(are_likeliest(reply.prompt_likeliest, 2, rows));
  REQUIRE(reply.prompt_logprobs.size() == 29);
  for (std::size_t i = 0; i < 29; ++i)
    CHECK(reply.prompt_logprobs[i] == score(rows[i], 0, request.ids[i + 1]).logprob);
}

TEST_CASE("a prompt is scored once where its sequence is preempted", "[pool]") {
  plain_pool pool({.num_blocks = 60});
  auto requests = mixed_requests(60);
  for (auto& request : requests) {
    request.scores_prompt = true;
    pool.submit(request);
  }
  pool.run();
  CHECK(pool.work.counts().preempted > 10);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto& [ids, sampling] = std::tie(requests[i].ids, requests[i].sampling);
    const auto rows = logits_before(ids, 1);
    std::vector<float> expected;
    for (std::size_t at = 0; at < rows.size(); ++at)
      expected.push_back(score(rows[at], sampling.temperature, ids[at + 1]).logprob);
    CHECK(pool.replies.at(i).prompt_logprobs == expected);
    CHECK(pool.replies.at(i).ids == pool.alone(requests[i]));
  }
}

TEST_CASE("five thousand live sequences all finish", "[pool]") {
  constexpr std::int32_t how_many = 5000, num_blocks = 4096;
  std::vector<script> scripts;
  for (std::int32_t i = 0; i < how_many; ++i) {
    const std::vector<std::int32_t> name{1 + i % 39, 1 + i / 39 % 39, 1 + i / 39 / 39};
    scripts.push_back({name, some_text(static_cast<std::uint32_t>(i), 5 + i % 20)});
  }
  plain_pool::options options{.num_blocks = num_blocks, .scheduling = {.block_size = 8}};
  plain_pool pool(options, std::make_unique<scripted_evaluator>(scripts, 0, num_blocks, 8, 40));
  for (std::int32_t i = 0; i < how_many; ++i) {
    const auto& text = scripts[static_cast<std::size_t>(i)].text;
    auto request =
        request_of(static_cast<std::uint64_t>(i) / 7, "/" + std::to_string(i % 7), text, 0);
    request.ban.clear();
    pool.submit(std::move(request));
  }
  CHECK(pool.work.num_queued() == how_many);
  pool.run();
  CHECK(pool.widest == 256);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < how_many; ++i)
    wrong += pool.replies.at(i).ids != scripts[i].continuation + std::vector<std::int32_t>{0};
  CHECK(wrong == 0);
}

// ---- how a sequence ends ----

TEST_CASE("a sequence ends with the token that completes a stop string", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(3, 5));
  const auto free = pool.ask(request);
  const letters vocabulary;
  const auto text = vocabulary.decode(free.ids);
  request.stop = {"nothing like this", text.substr(6, 3)};
  const auto reply = pool.ask(request);
  CHECK(reply.finish == finish_reason::stop);
  CHECK(reply.matched_stop == text.substr(6, 3));
  CHECK(vocabulary.decode(reply.ids) == text.substr(0, text.find(reply.matched_stop) + 3));
}

TEST_CASE("a sequence ends at its limit or with end-of-sequence", "[pool]") {
  std::vector<script> scripts{{{1, 2}, {3, 4, 5, 6}}};
  plain_pool pool({}, std::make_unique<scripted_evaluator>(scripts, 0, 1024, 4, 40));
  auto request = request_of(0, "/", {1, 2}, 3);
  request.ban.clear();
  const auto cut = pool.ask(request);
  CHECK(cut.finish == finish_reason::length);
  CHECK(cut.ids == std::vector<std::int32_t>{3, 4, 5});
  request.max_tokens = 0;
  const auto whole = pool.ask(request);
  CHECK(whole.finish == finish_reason::eos);
  CHECK(whole.ids == std::vector<std::int32_t>{3, 4, 5, 6, 0});
}

TEST_CASE("a sequence ends where the model's context ends", "[pool]") {
  plain_pool::options options;
  options.model.max_positions = 50;
  plain_pool pool(options);
  const auto reply = pool.ask(request_of(0, "/", some_text(1, 41), 0));
  CHECK(reply.finish == finish_reason::context);
  CHECK(reply.ids.size() == 9);
  CHECK(pool.work.submit(9, request_of(0, "/", some_text(1, 50))) == errc::context_full);
}

TEST_CASE("a sequence ends where the whole cache ends", "[pool]") {
  plain_pool pool({.num_blocks = 5});
  pool.submit(request_of(1, "/", some_text(2, 10), 0));
  const auto reply = pool.ask(request_of(0, "/", some_text(1, 17), 0));
  CHECK(reply.finish == finish_reason::context);
  CHECK(reply.ids.size() == 3);
  CHECK(pool.work.submit(9, request_of(0, "/", some_text(1, 20))) == errc::context_full);
}

TEST_CASE("a banned token is never sampled", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(3, 5), 200);
  request.sampling = {.temperature = 2.0f, .seed = 5};
  const auto free = pool.ask(request);
  CHECK(std::ranges::count(free.ids, 7) > 0);
  request.ban.push_back(7);
  CHECK(std::ranges::count(pool.ask(request).ids, 7) == 0);
}

TEST_CASE("a request that makes no sense is refused", "[pool]") {
  plain_pool pool;
  const auto refused = [&pool](auto&& spoil) {
    auto request = request_of(0, "/", some_text(1, 5));
    spoil(request);
    return pool.work.submit(pool.next_id++, request) == errc::bad_request;
  };
  CHECK(refused([](auto& r) { r.ids.clear(); }));
  CHECK(refused([](auto& r) { r.ids[2] = 40; }));
  CHECK(refused([](auto& r) { r.ids[2] = -1; }));
  CHECK(refused([](auto& r) { r.ban = {40}; }));
  CHECK(refused([](auto& r) { r.stop = {""}; }));
  CHECK(refused([](auto& r) { r.sampling.temperature = -1; }));
  CHECK(refused([](auto& r) { r.sampling.temperature = std::nanf(""); }));
  CHECK(refused([](auto& r) { r.sampling.top_p = 0; }));
  CHECK(refused([](auto& r) {
    for (std::int32_t id = 0; id < 40; ++id) r.ban.push_back(id);
  }));
  CHECK_FALSE(refused([](auto&) {}));
  CHECK(pool.work.num_queued() == 1);
}

TEST_CASE("a full queue refuses", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .max_batch = 1, .max_queue = 2}});
  pool.submit(request_of(0, "/", {1}));
  pool.submit(request_of(0, "/", {1}));
  CHECK(pool.work.submit(9, request_of(0, "/", {1})) == errc::pool_full);
  pool.step();
  CHECK(pool.work.submit(10, request_of(0, "/", {1})) == errc::none);
}

// ---- order ----

TEST_CASE("families are served in the order in which they came", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .max_batch = 1}});
  const auto first = pool.submit(request_of(7, "/", {1}));
  const auto second = pool.submit(request_of(3, "/", {1}));
  const auto child = pool.submit(request_of(7, "/0", {2}));
  pool.run();
  CHECK(pool.order == std::vector{first, child, second});
}

TEST_CASE("a parent after its join goes before older families", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .max_batch = 1}});
  const auto old = pool.submit(request_of(0, "/", {1}));
  auto parent = request_of(1, "/", {1});
  parent.resumes_join = true;
  const auto resumed = pool.submit(parent);
  pool.run();
  CHECK(pool.order == std::vector{resumed, old});
}

TEST_CASE("a long prompt is computed in chunks while others decode on", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .prefill_tokens = 32}});
  const auto quick = pool.submit(request_of(0, "/", some_text(1, 4), 100));
  pool.step();
  const auto request = request_of(1, "/", some_text(2, 320), 5);
  const auto slow = pool.submit(request);
  for (int i = 0; i < 10; ++i) {
    const auto before = pool.work.sampled(quick)->ids.size();
    CHECK(pool.step() == 33);
    CHECK(pool.work.sampled(quick)->ids.size() == before + 1);
    CHECK(pool.work.sampled(slow)->ids.size() == (i < 9 ? 0 : 1));
  }
  pool.run();
  CHECK(pool.replies.at(slow).ids == pool.alone(request));
}

TEST_CASE("only the youngest family is preempted", "[pool]") {
  plain_pool pool({.num_blocks = 20});
  const auto old = pool.submit(request_of(0, "/", some_text(1, 8), 50));
  const auto young = pool.submit(request_of(1, "/", some_text(2, 8), 50));
  while (pool.work.counts().preempted == 0) pool.step();
  CHECK(pool.work.sampled(old)->ids.size() > 0);
  CHECK(!pool.work.sampled(young));
  pool.run();
  CHECK(pool.order == std::vector{old, young});
}

// ---- cache ----

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

// ---- weights of several epochs ----

TEST_CASE("a pinned sequence keeps its weights to its end whatever is published", "[pool]") {
  plain_pool pool({.num_blocks = 120}); // some are preempted
  const auto requests = mixed_requests(60);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto request = requests[i];
    if (i % 3 != 2) request.weights_epoch = 0;
    pool.submit(std::move(request));
  }
  for (int i = 0; i < 12; ++i) pool.step();
  pool.renew(1, 2);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto request = requests[i];
    request.family += 100;
    if (i % 3 != 2) request.weights_epoch = 1;
    pool.submit(std::move(request));
  }
  for (int i = 0; i < 12; ++i) pool.step();
  pool.renew(2, 3);
  pool.run();
  CHECK(pool.work.counts().preempted > 0);
  for (std::size_t i = 0; i < 2 * requests.size(); ++i) {
    if (i % 3 == 2) continue; // 60 is a multiple of 3
    const auto& reply = pool.replies.at(i);
    const auto epoch = static_cast<std::uint32_t>(i / requests.size());
    CHECK(reply.ids == pool.alone(requests[i % requests.size()], epoch + 1));
    CHECK(reply.epochs == std::vector<std::uint32_t>(reply.ids.size(), epoch));
  }
}

TEST_CASE("a step makes one pass for each epoch and the older goes first", "[pool]") {
  plain_pool pool;
  auto& used = dynamic_cast<reseeded_evaluator&>(pool.device.device()).used;
  auto request = request_of(0, "/", some_text(1, 5), 10);
  pool.submit(request);
  request.thread = "/0";
  request.weights_epoch = 0;
  pool.submit(request);
  pool.step();
  CHECK(used == std::vector<std::uint32_t>{0});
  pool.renew(1, 2);
  request.thread = "/1";
  pool.submit(request);
  used.clear();
  pool.step();
  CHECK(used == std::vector<std::uint32_t>{0, 1});
  CHECK(pool.work.counts().steps == 2);
}

TEST_CASE("a pinned parent finds its lease after new weights", "[pool]") {
  plain_pool pool;
  auto parent = request_of(0, "/", some_text(1, 21), 30);
  parent.weights_epoch = 0;
  auto loose = request_of(1, "/", some_text(2, 21), 30);
  const auto said = pool.ask(parent).ids;
  pool.ask(loose);
  CHECK(pool.work.cache().leases().size() == 2);
  pool.renew(1, 2);
  CHECK(pool.work.cache().leases().size() == 1);
  parent.ids = parent.ids + std::vector(said.begin(), said.end() - 4) + some_text(9, 6);
  const auto begin = pool.work.counts().computed_tokens;
  const auto after = pool.ask(parent);
  CHECK(after.cached_tokens == parent.ids.size() - 6);
  CHECK(pool.work.counts().computed_tokens - begin == 6 + 29);
  CHECK(after.ids == pool.alone(parent, 1));
}

TEST_CASE("a prompt is found by those of its own epoch alone", "[pool]") {
  plain_pool pool;
  const auto text = some_text(1, 40);
  auto request = request_of(0, "/", text, 1);
  pool.ask(request);
  pool.renew(1, 2);
  request.family = 1;
  CHECK(pool.ask(request).cached_tokens == 0);
  request.family = 2;
  request.weights_epoch = 0;
  CHECK(pool.ask(request).cached_tokens == 36);
  request.family = 3;
  request.weights_epoch = 1;
  CHECK(pool.ask(request).cached_tokens == 36);
}

TEST_CASE("a thread that asks under other weights does not go on over its lease", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 20), 10);
  request.weights_epoch = 0;
  pool.ask(request);
  pool.renew(1, 2);
  for (const auto epoch : {std::optional<std::uint32_t>(1), std::optional<std::uint32_t>()}) {
    request.weights_epoch = epoch;
    CHECK(pool.ask(request).ids == pool.alone(request, 2));
  }
}

TEST_CASE("what is broken off has not failed", "[pool]") {
  plain_pool pool;
  for (std::uint64_t family = 0; family < 3; ++family)
    REQUIRE(pool.work.submit(family, request_of(family, "/", some_text(1, 5))) == errc::none);
  CHECK(pool.work.cancel(0, "/", true).size() == 1);
  CHECK(pool.work.cancel(1, "/").size() == 1);
  pool.run();
  const auto& counts = pool.work.counts();
  CHECK(counts.cancelled == 2);
  CHECK(counts.failed == 0);
  CHECK(counts.finished == 1);
}

TEST_CASE("a request for weights that are not there is refused", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 5));
  request.weights_epoch = 1;
  CHECK(pool.work.submit(0, request) == errc::no_weights);
  pool.renew(1, 2);
  pool.renew(2, 3);
  CHECK(pool.work.submit(1, request) == errc::none);
  request.weights_epoch = 0;
  CHECK(pool.work.forget_epochs(1) == std::vector<std::uint32_t>{0});
  CHECK(pool.work.submit(2, request) == errc::no_weights);
  CHECK(pool.work.counts().failed == 2);
  CHECK(pool.work.counts().cancelled == 0);
  pool.run();
}

TEST_CASE("weights are kept while a pinned sequence or lease needs them", "[pool]") {
  using epochs = std::vector<std::uint32_t>;
  plain_pool pool({.scheduling = {.block_size = 4, .max_batch = 1}});
  auto request = request_of(0, "/", some_text(1, 5), 10);
  request.weights_epoch = 0;
  pool.submit(request); // runs
  request.family = 1;
  request.keep_lease = false;
  pool.submit(request); // waits
  pool.step();
  pool.renew(1, 2);
  pool.renew(2, 3);
  CHECK(pool.work.forget_epochs(0) == epochs{1});
  while (pool.order.empty()) pool.step();
  CHECK(pool.work.forget_epochs(0).empty());
  pool.run();
  CHECK(pool.work.forget_epochs(0).empty()); // the first one's lease
  pool.work.release(0, "/");
  CHECK(pool.work.forget_epochs(0) == epochs{0});
  CHECK(pool.work.epochs().all() == epochs{2});
}

TEST_CASE("a cancelled sequence holds no weights", "[pool]") {
  plain_pool pool;
  auto request = request_of(0, "/", some_text(1, 5), 10);
  request.weights_epoch = 0;
  pool.submit(request);
  request.thread = "/0";
  pool.step();
  pool.submit(request);
  pool.renew(1, 2);
  CHECK(pool.work.cancel(0, "/", true).size() == 2);
  CHECK(pool.work.forget_epochs(0) == std::vector<std::uint32_t>{0});
}

TEST_CASE("random work under changing weights leaves no pinned text wrong", "[pool]") {
  plain_pool pool(
      {.num_blocks = 64, .scheduling = {.block_size = 4, .max_batch = 12, .prefill_tokens = 24}});
  std::mt19937 random(5);
  std::map<std::uint64_t, decode_request> asked;
  std::vector<decode_request> threads; // as they would go on
  std::size_t refused = 0, steps_of_many = 0;
  auto& used = dynamic_cast<reseeded_evaluator&>(pool.device.device()).used;
  for (int round = 0; round < 1500; ++round) {
    if (random() % 2 == 0) {
      auto request = request_of(random() % 8, random() % 2 ? "/" : "/0",
                                some_text(random() % 4, 1 + random() % 40), 1 + random() % 30);
      request.weights_epoch = pool.work.epochs().all()[random() % pool.work.epochs().size()];
      if (!threads.empty() && random() % 2) request = threads[random() % threads.size()];
      if (random() % 4 == 0) request.weights_epoch.reset();
      request.keep_lease = random() % 3 != 0;
      const auto id = pool.next_id++;
      const auto answer = pool.work.submit(id, request);
      REQUIRE((answer == errc::none || answer == errc::no_weights));
      answer == errc::none ? void(asked[id] = request) : void(++refused);
    }
    if (random() % 25 == 0) pool.renew(pool.work.epoch() + 1, pool.work.epoch() + 2);
    if (random() % 40 == 0) pool.work.release(random() % 8, "/");
    for (const auto epoch : pool.work.forget_epochs(1)) pool.device.device().forget(epoch);
    used.clear();
    pool.step();
    steps_of_many += used.size() > 1;
    REQUIRE(pool.work.check().value_or("in order") == "in order");
    if (!pool.order.empty() && random() % 2) {
      auto next = asked.at(pool.order.back());
      const auto& said = pool.replies.at(pool.order.back()).ids;
      next.ids = next.ids + std::vector(said.begin(), said.end() - random() % said.size());
      if (next.ids.size() < 120) threads.push_back(std::move(next));
    }
  }
  pool.run();
  CHECK(refused > 5);
  CHECK(steps_of_many > 100);
  CHECK(pool.work.counts().preempted > 0);
  CHECK(pool.work.counts().cached_tokens > 500);
  std::size_t wrong = 0, pinned = 0;
  for (auto& [id, reply] : pool.replies) {
    const auto& request = asked.at(id);
    if (!request.weights_epoch) continue;
    wrong += reply.ids != pool.alone(request, *request.weights_epoch + 1);
    ++pinned;
  }
  CHECK(pinned > 100);
  CHECK(wrong == 0);
}

TEST_CASE("random work leaves a cache in order and no text wrong", "[pool]") {
  plain_pool pool(
      {.num_blocks = 64, .scheduling = {.block_size = 4, .max_batch = 12, .prefill_tokens = 24}});
  std::mt19937 random(11);
  std::map<std::uint64_t, decode_request> asked;
  std::vector<decode_request> threads; // as they would go on
  std::set<std::uint64_t> cancelled;
  for (int round = 0; round < 1500; ++round) {
    const auto family = random() % 8;
    const auto thread = std::vector<std::string>{"/", "/0", "/1", "/0/0", "/01"}[random() % 5];
    if (random() % 3 == 0) {
      auto request = request_of(family, thread,
                                some_text(random() % 4, 1 + random() % 40)
                                    + some_text(random(), random() % 10),
                                1 + random() % 30);
      if (!threads.empty() && random() % 2) request = threads[random() % threads.size()];
      request.resumes_join = random() % 4 == 0;
      request.keep_lease = random() % 3 != 0;
      if (random() % 2) request.sampling = {.temperature = 1, .seed = random()};
      asked[pool.submit(request)] = request;
    }
    if (random() % 40 == 0)
      for (const auto& one : pool.work.cancel(family, thread, random() % 2))
        cancelled.insert(one.id);
    if (random() % 40 == 0) pool.work.release(family, thread);
    pool.step();
    REQUIRE(pool.work.check().value_or("in order") == "in order");
    if (!pool.order.empty() && random() % 2) {
      auto next = asked.at(pool.order.back());
      const auto& said = pool.replies.at(pool.order.back()).ids;
      next.ids = next.ids + std::vector(said.begin(), said.end() - random() % said.size());
      next.ids = next.ids + some_text(random(), random() % 5);
      if (next.ids.size() < 120) threads.push_back(std::move(next));
    }
  }
  pool.run();
  CHECK(pool.work.counts().preempted > 0);
  CHECK(cancelled.size() > 10);
  CHECK(asked.size() == pool.replies.size() + cancelled.size());
  std::size_t wrong = 0;
  for (auto& [id, reply] : pool.replies) wrong += reply.ids != pool.alone(asked.at(id));
  CHECK(wrong == 0);
}
