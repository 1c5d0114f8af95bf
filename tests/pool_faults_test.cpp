#include "tests/pool_system.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

#include <catch2/catch.hpp>

using namespace banyan;
using namespace std::chrono_literals;

namespace {

struct broken_evaluator : random_evaluator {
  using random_evaluator::random_evaluator;
  state advance(state, std::int32_t) const override {
    throw std::runtime_error("the device fell off the bus");
  }
};

/// Has no logits for a text that begins with the token `bad`.
struct partly_damaged_evaluator : random_evaluator {
  using random_evaluator::random_evaluator;
  static constexpr std::int32_t bad = 39;
  static constexpr state damaged = 1;

  state advance(state before, std::int32_t id) const override {
    if (before == damaged || (before == 0 && id == bad)) return damaged;
    return random_evaluator::advance(before, id);
  }
  void predict(state now, std::span<float> logits) const override {
    random_evaluator::predict(now, logits);
    if (now == damaged) logits[3] = std::numeric_limits<float>::quiet_NaN();
  }
};

/// Has memory for a few tokens a step.
struct narrow_evaluator : random_evaluator {
  using random_evaluator::random_evaluator;

  std::span<const float> run(const decode_batch& batch, std::uint32_t epoch) override {
    widest = std::max(widest, batch.ids.size());
    if (batch.ids.size() > room) throw std::bad_alloc();
    return random_evaluator::run(batch, epoch);
  }
  static inline std::size_t room = 0, widest = 0;
};

} // namespace

TEST_CASE_METHOD(pool_system, "a failing device loses the pool and tells everybody", "[pool]") {
  auto pool = spawn<broken_evaluator>();
  auto first = send(pool, request_of("/", 10));
  auto second = send(pool, request_of("/0", 10));
  run();
  CHECK(why(take<decode_reply>(first).error()) == errc::pool_lost);
  CHECK(why(take<decode_reply>(second).error()) == errc::pool_lost);
  CHECK(running() == 0);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "cpu:7: lost: the device fell off the bus");
}

TEST_CASE_METHOD(pool_system, "a killed pool leaves nobody waiting", "[pool]") {
  auto pool = spawn();
  auto running = send(pool, request_of("/", 1000));
  steps(5);
  caf::anon_send_exit(pool, caf::exit_reason::kill);
  run();
  CHECK(why(take<decode_reply>(running).error()) == errc::pool_lost);
}

TEST_CASE_METHOD(pool_system, "one sequence without logits fails alone", "[pool]") {
  auto pool = spawn<partly_damaged_evaluator>();
  auto request = request_of("/", 20);
  auto good = send(pool, request);
  request.ids.front() = partly_damaged_evaluator::bad;
  request.thread = "/0";
  auto bad = send(pool, request);
  auto again = send(pool, request);
  run();
  CHECK(why(take<decode_reply>(bad).error()) == errc::bad_weights);
  CHECK(why(take<decode_reply>(again).error()) == errc::bad_weights);
  const auto reply = take<decode_reply>(good);
  REQUIRE(reply);
  CHECK(reply->ids == plain_pool{}.alone(request_of("/", 20)));
  CHECK(lines.size() == 1); // not one a sequence
  const auto now = ask<pool_status>(pool, atom::status_v);
  CHECK(now->failed == 2);
  CHECK(now->finished == 1);
  CHECK(now->blocks_free + now->blocks_cached + now->blocks_leased == now->blocks_total);
}

TEST_CASE_METHOD(pool_system, "a prompt that cannot be scored fails alone", "[pool]") {
  auto pool = spawn<partly_damaged_evaluator>();
  auto request = request_of("/", 5);
  request.scores_prompt = true;
  request.likeliest = 2;
  auto good = send(pool, request);
  request.ids.front() = partly_damaged_evaluator::bad;
  request.thread = "/0";
  auto bad = send(pool, request);
  run();
  CHECK(why(take<decode_reply>(bad).error()) == errc::bad_weights);
  const auto reply = take<decode_reply>(good);
  REQUIRE(reply);
  CHECK(reply->prompt_logprobs.size() == 9);
  CHECK(reply->likeliest.size() == 10);
}

TEST_CASE_METHOD(pool_system, "a device with little memory takes smaller steps", "[pool]") {
  narrow_evaluator::room = 5;
  narrow_evaluator::widest = 0;
  auto pool = spawn<narrow_evaluator>();
  std::vector<decode_request> requests;
  for (int i = 0; i < 12; ++i) requests.push_back(request_of("/" + std::to_string(i), 30));
  std::vector<decltype(send(pool, requests[0]))> replies;
  for (const auto& r : requests) replies.push_back(send(pool, r));
  run();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto reply = take<decode_reply>(replies[i]);
    REQUIRE(reply);
    CHECK(reply->ids == plain_pool{}.alone(requests[i]));
  }
  REQUIRE_FALSE(lines.empty());
  CHECK_THAT(lines[0], Catch::Contains("out of memory; goes on with at most"));
  CHECK(lines.size() < 10);

  // When there is room again, its steps grow again.
  narrow_evaluator::room = 1000;
  narrow_evaluator::widest = 0;
  replies.clear();
  for (auto& r : requests) r.max_tokens = 3000, replies.push_back(send(pool, r));
  run();
  for (auto& reply : replies) REQUIRE(take<decode_reply>(reply));
  CHECK(narrow_evaluator::widest >= 12);
}

TEST_CASE_METHOD(pool_system, "a device whose memory comes back goes on where it was", "[pool]") {
  narrow_evaluator::room = 100;
  auto pool = spawn<narrow_evaluator>();
  const auto asks = [&](const char* thread) { return send(pool, request_of(thread, 30)); };
  std::vector replies{asks("/"), asks("/0")};
  steps(8);
  for (int lack = 0; lack < 3; ++lack) { // each is waited for anew
    narrow_evaluator::room = 0;
    steps(3);
    for (int i = 0; i < 8; ++i) advance(1s);
    CHECK(running() == 1);
    narrow_evaluator::room = 100;
    scheduler().advance_time(8s);
    steps(3);
  }
  replies.push_back(asks("/1")); // no longer waits
  run();
  for (auto& pending : replies) {
    const auto reply = take<decode_reply>(pending);
    REQUIRE(reply);
    CHECK(reply->ids == plain_pool{}.alone(request_of("/", 30)));
  }
  CHECK(lines.size() == 4); // one sequence a step, then a line for each lack
}

TEST_CASE_METHOD(pool_system, "a device that never has memory for one token is lost", "[pool]") {
  narrow_evaluator::room = 0;
  auto pool = spawn<narrow_evaluator>();
  auto reply = send(pool, request_of("/", 10));
  for (int i = 0; i < 1000; ++i) advance(10ms);
  CHECK(running() == 1);
  for (int i = 0; i < 100; ++i) advance(10ms);
  CHECK(why(take<decode_reply>(reply).error()) == errc::pool_lost);
  CHECK(running() == 0);
}
