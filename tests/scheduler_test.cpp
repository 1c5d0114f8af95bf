#include "tests/scheduler_requests.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <set>

using namespace banyan;

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

TEST_CASE("a stop string is found though its sequence was preempted in the middle of it",
          "[pool]") {
  plain_pool pool({.num_blocks = 60}), roomy;
  auto requests = mixed_requests(60);
  for (auto& request : requests) {
    const auto text = letters{}.decode(roomy.ask(request).ids);
    if (text.size() > 4) request.stop = {text.substr(text.size() / 4, text.size() / 2)};
    pool.submit(request);
  }
  pool.run();
  CHECK(pool.work.counts().preempted >= 10);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto expected = roomy.ask(requests[i]);
    CHECK(pool.replies.at(i).ids == expected.ids);
    CHECK(pool.replies.at(i).matched_stop == expected.matched_stop);
  }
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
  constexpr auto infinity = std::numeric_limits<float>::infinity();
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
  CHECK(refused([](auto& r) { r.sampling.temperature = infinity; }));
  CHECK(refused([](auto& r) { r.sampling.top_k = -1; }));
  for (const auto top_p : {0.0f, -0.1f, 1.5f, std::nanf("")})
    CHECK(refused([=](auto& r) { r.sampling.top_p = top_p; }));
  for (const auto min_p : {-0.1f, 1.1f, std::nanf("")})
    CHECK(refused([=](auto& r) { r.sampling.min_p = min_p; }));
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

TEST_CASE("a step that was too large has half as much next of what was most of it", "[pool]") {
  plain_pool pool({.scheduling = {.block_size = 4, .prefill_tokens = 100}});
  for (std::uint32_t i = 0; i < 20; ++i) pool.submit(request_of(i, "/", some_text(i, 4), 50));
  pool.step();
  pool.submit(request_of(20, "/", some_text(20, 320), 5));
  CHECK(pool.work.next().size() == 21);
  CHECK(pool.work.retreat());
  CHECK(pool.work.max_batch() == 256);
  CHECK(pool.work.prefill_tokens() == 50);
  for (const auto left : {25u, 12u}) {
    CHECK(pool.work.next().size() == 21);
    CHECK(pool.work.retreat());
    CHECK(pool.work.prefill_tokens() == left);
  }
  CHECK(pool.work.next().size() == 21); // now there are more sequences than prompt tokens
  CHECK(pool.work.retreat());
  CHECK(pool.work.max_batch() == 10);
  CHECK(pool.work.prefill_tokens() == 12);
  CHECK(pool.step() == 10);
  while (pool.work.next().size() > 1) CHECK(pool.work.retreat());
  CHECK_FALSE(pool.work.retreat());
  pool.run();
}

TEST_CASE("few are preempted where many want more blocks than there are", "[pool]") {
  plain_pool pool({.num_blocks = 60});
  for (auto& request : mixed_requests(60)) pool.submit(std::move(request));
  pool.run();
  CHECK(pool.work.counts().preempted < 30);
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
