#include "model/weights.hpp"
#include "tests/pool_system.hpp"

#include <numeric>

#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch.hpp>

using namespace banyan;
using namespace std::chrono_literals;

namespace {

/// Looks at what its pool shows while it runs.
struct looking_evaluator : random_evaluator {
  using random_evaluator::random_evaluator;
  state advance(state before, std::int32_t id) const override {
    seen = gauge->now();
    return random_evaluator::advance(before, id);
  }
  static inline std::shared_ptr<pool_gauge> gauge;
  static inline pool_status seen;
};

} // namespace

TEST_CASE_METHOD(pool_system, "a pool answers with what it sampled", "[pool]") {
  auto pool = spawn();
  const auto request = request_of("/", 25);
  const auto reply = ask<decode_reply>(pool, request);
  REQUIRE(reply);
  CHECK(reply->ids == plain_pool{}.alone(request));
  CHECK(reply->finish == finish_reason::length);
  CHECK(reply->prompt_tokens == 10);
}

TEST_CASE_METHOD(pool_system, "a pool refuses what it cannot decode", "[pool]") {
  auto pool = spawn();
  auto request = request_of("/", 25);
  request.ids.clear();
  const auto reply = ask<decode_reply>(pool, request);
  REQUIRE_FALSE(reply);
  CHECK(why(reply.error()) == errc::bad_request);
  request.ids = some_text(1, 5000);
  CHECK(why(ask<decode_reply>(pool, request).error()) == errc::context_full);
}

TEST_CASE_METHOD(pool_system, "an idle pool sends itself nothing", "[pool]") {
  auto pool = spawn();
  run();
  CHECK_FALSE(scheduler().has_job());
  REQUIRE(ask<decode_reply>(pool, request_of("/", 5)));
  CHECK_FALSE(scheduler().has_job());
  CHECK(ask<pool_status>(pool, atom::status::value)->steps == 5);
}

TEST_CASE_METHOD(pool_system, "requests that come during a step join the next one", "[pool]") {
  auto pool = spawn();
  auto first = send(pool, request_of("/", 20));
  steps(5);
  auto second = send(pool, request_of("/0", 20));
  run();
  CHECK(take<decode_reply>(first));
  CHECK(take<decode_reply>(second));
  CHECK(ask<pool_status>(pool, atom::status::value)->steps < 30);
}

TEST_CASE_METHOD(pool_system, "cancelled requests are answered with what was sampled", "[pool]") {
  auto pool = spawn();
  auto root = send(pool, request_of("/", 1000));
  auto child = send(pool, request_of("/0", 1000));
  auto other = send(pool, request_of("/0", 20, 1));
  steps(8);
  self->send(pool, decode_cancel{0, "/0"});
  run();
  const auto broken_off = take<decode_reply>(child);
  REQUIRE(broken_off);
  CHECK(broken_off->finish == finish_reason::cancelled);
  const auto whole = ask<decode_reply>(pool, request_of("/0", 1000));
  REQUIRE_FALSE(broken_off->ids.empty());
  CHECK(broken_off->ids.size() < whole->ids.size());
  CHECK(std::equal(broken_off->ids.begin(), broken_off->ids.end(), whole->ids.begin()));
  CHECK(broken_off->logprobs.size() == broken_off->ids.size());
  CHECK(take<decode_reply>(root));
  CHECK(take<decode_reply>(other));
}

TEST_CASE_METHOD(pool_system, "a pool whose work was all cancelled takes more", "[pool]") {
  auto pool = spawn();
  auto gone = send(pool, request_of("/", 1000));
  steps(8);
  self->send(pool, decode_cancel{0, "/"});
  run();
  CHECK(take<decode_reply>(gone)->finish == finish_reason::cancelled);
  CHECK_FALSE(scheduler().has_job());
  CHECK(ask<decode_reply>(pool, request_of("/", 5)));
  const auto now = ask<pool_status>(pool, atom::status::value);
  const auto& timed = now->step_s.counts; // a step without work is none
  CHECK(std::accumulate(timed.begin(), timed.end(), std::uint64_t{0}) == now->steps);
}

TEST_CASE_METHOD(pool_system, "a watched thread hears all tokens but not too often", "[pool]") {
  using watcher_actor =
      caf::typed_actor<caf::reacts_to<atom::step>, caf::reacts_to<decode_progress>>;
  auto pool = spawn();
  std::vector<std::int32_t> heard;
  std::optional<decode_reply> reply;
  int times = 0;
  auto watcher = sys.spawn([&](watcher_actor::pointer me) -> watcher_actor::behavior_type {
    return {[&, me](atom::step) {
              auto request = request_of("/", 400);
              request.watched = true;
              me->request(pool, caf::infinite, std::move(request))
                  .then([&](decode_reply& r) { reply = std::move(r); }, [](caf::error&) {});
            },
            [&](const decode_progress& news) {
              CHECK_FALSE(news.ids.empty());
              heard.insert(heard.end(), news.ids.begin(), news.ids.end());
              ++times;
            }};
  });
  self->send(watcher, atom::step::value);
  int passed_ms = 0;
  while (!reply) { // 5 ms a job, about 2 s in all
    scheduler().try_run_once();
    scheduler().advance_time(5ms);
    passed_ms += 5;
  }
  CHECK(times > 10);
  CHECK(times <= passed_ms / 50 + 1);
  REQUIRE(heard.size() > 300);
  CHECK(std::equal(heard.begin(), heard.end(), reply->ids.begin()));
  end(watcher);
}

TEST_CASE_METHOD(pool_system, "a thread that is watched costs the same however many others decode",
                 "[pool]") {
  constexpr std::uint32_t num_watches = 2000;
  const auto told_s = [this](std::uint32_t num_open) {
    pool_options options;
    options.scheduling.max_batch = 1; // the others wait in its queue
    auto pool = spawn(options);
    for (std::uint32_t i = 0; i < num_open; ++i)
      self->send(pool, request_of("/" + std::to_string(i), 1000));
    steps(static_cast<int>(2 * num_open)); // each takes a message
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
      for (std::uint32_t i = 0; i < num_watches; ++i)
        self->send(pool, decode_watch{0, "/" + std::to_string(i % num_open), i % 2 == 0});
      const auto begin = std::chrono::steady_clock::now();
      steps(num_watches);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      best = std::min(best, took.count());
    }
    end(pool);
    return best;
  };
  const auto few = told_s(50), many = told_s(10000);
  INFO(few << " s, " << many << " s");
  CHECK(many < 8 * few);
}

TEST_CASE_METHOD(pool_system, "a step tells who watches as fast however many others wait",
                 "[pool]") {
  const auto step_s = [this](std::uint32_t num_open) {
    pool_options options;
    options.scheduling.max_batch = 1; // the others wait in its queue
    options.progress_ms = 0;
    auto pool = spawn(options);
    auto first = request_of("/", 1000);
    first.watched = true;
    self->send(pool, first);
    for (std::uint32_t i = 0; i < num_open; ++i)
      self->send(pool, request_of("/" + std::to_string(i), 1000));
    steps(static_cast<int>(num_open) + 50); // each takes a message
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      steps(100);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      best = std::min(best, took.count());
    }
    end(pool);
    return best;
  };
  const auto few = step_s(50), many = step_s(10000);
  INFO(few << " s, " << many << " s");
  CHECK(many < 8 * few);
}

TEST_CASE_METHOD(pool_system, "new weights serve from the next step on", "[pool]") {
  pool_options options;
  options.gauge = std::make_shared<pool_gauge>();
  auto pool = spawn(options);
  auto running = send(pool, request_of("/", 30));
  steps(11);
  const auto taken = ask<weights_taken>(pool, weights_ready{4, nullptr, "/weights/2"});
  REQUIRE(taken);
  CHECK(taken->epoch == 4);
  CHECK(taken->swap_ms >= 0);
  CHECK(options.gauge->now().weights_epoch == 4);
  const auto reply = take<decode_reply>(running);
  REQUIRE(reply);
  CHECK(std::ranges::count(reply->epochs, 0u) > 5);
  CHECK(std::ranges::count(reply->epochs, 4u) > 5);
  plain_pool reference({.seed = 2});
  const auto request = request_of("/", 30);
  CHECK(ask<decode_reply>(pool, request)->ids == reference.alone(request));
  CHECK(ask<pool_status>(pool, atom::status::value)->weights_epoch == 4);
}

TEST_CASE_METHOD(pool_system, "a pool keeps its weights when it cannot read the new ones",
                 "[pool]") {
  auto pool = spawn();
  const auto refused = ask<weights_taken>(pool, weights_ready{4, nullptr, "/weights/none"});
  CHECK(why(refused.error()) == errc::bad_weights);
  const auto request = request_of("/", 30);
  const auto reply = ask<decode_reply>(pool, request);
  CHECK(reply->ids == plain_pool{}.alone(request));
  CHECK(reply->epochs == std::vector<std::uint32_t>(30, 0));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "cpu:7: keeps its weights: /weights/none: not a number");
}

TEST_CASE_METHOD(pool_system, "weights that come too late are not taken", "[pool]") {
  auto pool = spawn();
  REQUIRE(ask<weights_taken>(pool, weights_ready{4, nullptr, "/weights/2"}));
  for (const std::uint32_t epoch : {4, 3}) {
    const auto late = ask<weights_taken>(pool, weights_ready{epoch, nullptr, "/weights/3"});
    CHECK(why(late.error()) == errc::bad_weights);
  }
  const auto request = request_of("/", 30);
  CHECK(ask<decode_reply>(pool, request)->ids == plain_pool({.seed = 2}).alone(request));
  CHECK(lines.size() == 2);
}

TEST_CASE_METHOD(pool_system, "a pool without a model's evaluator takes no model", "[pool]") {
  auto pool = spawn();
  const auto weights = std::make_shared<model_weights>(random_weights(letters_model(), 1));
  const auto refused =
      ask<weights_taken>(pool, weights_ready{4, std::make_shared<transformer>(weights), ""});
  CHECK(why(refused.error()) == errc::bad_weights);
  CHECK(ask<pool_status>(pool, atom::status::value)->weights_epoch == 0);
}

TEST_CASE_METHOD(pool_system, "a pinned request is decoded with its weights while others change",
                 "[pool]") {
  auto pool = spawn();
  auto pinned = request_of("/", 40), loose = request_of("/", 40, 1);
  pinned.weights_epoch = 0;
  auto first = send(pool, pinned), second = send(pool, loose);
  steps(8);
  REQUIRE(ask<weights_taken>(pool, weights_ready{1, nullptr, "/weights/2"}));
  const auto said = take<decode_reply>(first);
  CHECK(said->ids == plain_pool{}.alone(pinned));
  CHECK(said->epochs == std::vector<std::uint32_t>(40, 0));
  CHECK(take<decode_reply>(second)->epochs.back() == 1);
}

TEST_CASE_METHOD(pool_system, "a pool has the newest weights and some older ones", "[pool]") {
  using epochs = std::vector<std::uint32_t>;
  const std::size_t keep = GENERATE(0, 1, 2);
  pool_options options;
  options.keep_epochs = keep;
  auto pool = spawn(options);
  for (std::uint32_t epoch = 1; epoch < 5; ++epoch)
    REQUIRE(ask<weights_taken>(pool, weights_ready{epoch, nullptr, "/weights/9"}));
  const auto status = ask<pool_status>(pool, atom::status::value);
  CHECK(status->epochs == (keep == 0 ? epochs{4} : keep == 1 ? epochs{3, 4} : epochs{2, 3, 4}));
  auto request = request_of("/", 5);
  request.weights_epoch = 1;
  CHECK(why(ask<decode_reply>(pool, request).error()) == errc::no_weights);
  request.weights_epoch = 5;
  CHECK(why(ask<decode_reply>(pool, request).error()) == errc::no_weights);
}

TEST_CASE_METHOD(pool_system, "weights go with the last pinned thread that needs them", "[pool]") {
  using epochs = std::vector<std::uint32_t>;
  pool_options options;
  options.keep_epochs = 0;
  auto pool = spawn(options);
  const auto held = [&] { return ask<pool_status>(pool, atom::status::value)->epochs; };
  auto request = request_of("/", 1000);
  request.weights_epoch = 0;
  auto running = send(pool, request);
  steps(8);
  auto news = self->request(pool, caf::infinite, weights_ready{1, nullptr, "/weights/2"});
  auto status = self->request(pool, caf::infinite, atom::status::value);
  steps(3);
  REQUIRE(take<weights_taken>(news));
  CHECK(take<pool_status>(status)->epochs == epochs{0, 1});
  run();
  CHECK(take<decode_reply>(running)->epochs.back() == 0);
  CHECK(held() == epochs{0, 1}); // it waits and will come back
  self->send(pool, lease_release{0, "/"});
  CHECK(held() == epochs{1});
}

TEST_CASE_METHOD(pool_system, "a pool's status adds up", "[pool]") {
  auto pool = spawn();
  REQUIRE(ask<decode_reply>(pool, request_of("/", 25)));
  REQUIRE(ask<decode_reply>(pool, request_of("/", 25)));
  auto refused = request_of("/", 25);
  refused.ids = {99};
  CHECK_FALSE(ask<decode_reply>(pool, refused));
  auto open = send(pool, request_of("/0", 50, 1));
  steps(10);
  auto status = self->request(pool, caf::infinite, atom::status::value);
  steps(3);
  const auto now = take<pool_status>(status);
  REQUIRE(now);
  CHECK(now->name == "cpu:7");
  CHECK(now->finished == 2);
  CHECK(now->failed == 1);
  CHECK(now->running == 1);
  CHECK(now->queued == 0);
  CHECK(now->prompt_tokens == 30);
  CHECK(now->cached_tokens == 9);
  CHECK(now->generated_tokens > 50);
  CHECK(now->blocks_total == 256);
  CHECK(now->blocks_leased == 3);
  CHECK(now->blocks_free + now->blocks_leased + now->blocks_cached < 256);
  CHECK(now->busy_s >= now->forward_s);
  run();
  CHECK(take<decode_reply>(open));
}

TEST_CASE_METHOD(pool_system, "a pool shows its status while it is in a step", "[pool]") {
  pool_options options;
  options.gauge = looking_evaluator::gauge = std::make_shared<pool_gauge>();
  auto pool = spawn<looking_evaluator>(options);
  run();
  CHECK(options.gauge->now().name == "cpu:7");
  REQUIRE(ask<decode_reply>(pool, request_of("/", 1)));
  CHECK(looking_evaluator::seen.running == 1);
}

TEST_CASE_METHOD(pool_system, "a released lease frees a pool's blocks", "[pool]") {
  auto pool = spawn();
  REQUIRE(ask<decode_reply>(pool, request_of("/", 25)));
  CHECK(ask<pool_status>(pool, atom::status::value)->blocks_leased > 0);
  self->send(pool, lease_release{0, "/"});
  CHECK(ask<pool_status>(pool, atom::status::value)->blocks_leased == 0);
}

TEST_CASE("a detached pool serves many askers on its own OS thread", "[pool]") {
  caf::actor_system_config config;
  configure(config, 1);
  caf::actor_system sys(config);
  {
    pool_options options;
    options.scheduling.max_batch = 32;
    auto pool = spawn_pool(sys, options, std::make_unique<random_evaluator>(1, 256, 16, 40), 256,
                           letters_model(), nullptr);
    caf::scoped_actor self(sys);
    for (std::uint32_t i = 0; i < 100; ++i) {
      auto request = pool_system::request_of("/" + std::to_string(i), 10 + i % 7);
      self->send(pool, std::move(request));
    }
    int answers = 0;
    self->receive_for(answers,
                      100)([](const decode_reply& reply) { CHECK(reply.ids.size() >= 10); });
    caf::anon_send_exit(pool, caf::exit_reason::user_shutdown);
  }
}
