#include "apps/actor_house.hpp"
#include "apps/decoding_options.hpp"
#include "apps/gap_sample.hpp"
#include "apps/problem_run.hpp"
#include "apps/runtime.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "tests/tiny_checkpoint.hpp"
#include "trainer/logprob_gap.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include <caf/send.hpp>
#include <catch2/catch.hpp>

namespace banyan {
namespace {

runtime tiny_runtime(std::int64_t context = 96, std::size_t concurrency = 4) {
  return runtime({{"cpu", dtype::float32, tiny_checkpoint(context)}}, {.concurrency = concurrency});
}

decoding_options sampled() {
  decoding_options o;
  o.sampling.temperature = 1;
  o.sampling.seed = 3;
  return o;
}

const std::vector<problem> problems{{{42, 61, 66}, 47}, {{25, 7, 3}, 54}, {{1, 2, 3}, 10},
                                    {{5, 6, 7}, 65},    {{9, 8, 7}, 24},  {{10, 20, 30}, 60}};

TEST_CASE("every tree that goes in comes out once and in its turn", "[apps]") {
  auto work = tiny_runtime();
  std::vector<std::size_t> out;
  const auto result =
      run_problems(work, problems, sampled(), {.on_tree = [&](std::size_t i, const tree& t) {
                     out.push_back(i);
                     CHECK(t.problem == problems[i]);
                     CHECK_FALSE(t.inconsistent());
                   }});
  CHECK_FALSE(result.stopped);
  CHECK(out == std::vector<std::size_t>{0, 1, 2, 3, 4, 5});
}

/// Greedy, this model writes one token over and over until its context is full: long enough to be
/// interrupted.
decoding_options endless() { return {}; }

TEST_CASE("a run that is stopped cancels what runs and what waits", "[apps]") {
  auto work = tiny_runtime(4096, 2);
  auto options = endless();
  options.concurrency = 2;
  std::size_t asked = 0, ended = 0, cancelled = 0;
  const auto result = run_problems(work, problems, options,
                                   {.stop = [&] { return ++asked > 1; },
                                    .on_tree =
                                        [&](std::size_t, const tree& t) {
                                          ++ended;
                                          cancelled += t.failure == errc::cancelled;
                                        }});
  CHECK(result.stopped);
  CHECK(ended == 3); // two ran, one waited, the rest was never submitted
  CHECK(cancelled == 3);
}

TEST_CASE("some trees of an evaluation are scored again from all of its parts", "[apps]") {
  const auto model = tiny_checkpoint(96);
  const transformer scorer(model.weights);
  tree unknown; // a logprob is missing: its gap is infinite
  unknown.add("/").segments = {{.kind = segment_kind::prompt}, {.kind = segment_kind::written}};
  unknown.threads[0].segments[1].ids = {5, 6};
  unknown.threads[0].segments[1].logprobs = {-1};
  const auto kept = [&](std::size_t num_problems) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < num_problems; ++i) {
      gap_sample gaps(num_problems);
      gaps.add(i, unknown);
      if (gaps.largest(scorer, *model.vocabulary, {}) > 0) all.push_back(i);
    }
    return all;
  };
  CHECK(kept(5).size() == 5);
  CHECK(kept(32).size() == 32);
  const auto of_many = kept(1000);
  REQUIRE(of_many.size() == 32);
  CHECK(of_many.front() < 32);
  CHECK(of_many.back() == 999);
}

TEST_CASE("a request that cannot be read is answered with the reason", "[apps]") {
  auto work = tiny_runtime();
  solve_request request;
  request.prompt = "hello";
  work.submit(request);
  const auto done = work.take(std::chrono::seconds(20));
  REQUIRE(done);
  CHECK_FALSE(done->value);
  CHECK_FALSE(done->error.empty());
}

/// A house over two pools, and who it said was lost.
struct watched_house {
  std::mutex mutex;
  std::condition_variable told;
  std::vector<std::string> lost;
  actor_house house{{source(), source()}, {.on_loss = [this](const std::string& who) {
                      const std::lock_guard lock(mutex);
                      lost.push_back(who);
                      told.notify_all();
                    }}};

  static pool_source source() { return {"cpu", dtype::float32, tiny_checkpoint(96)}; }

  template <class Actor>
  static void kill(const Actor& actor) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  }

  bool hears(const std::string& who) {
    std::unique_lock lock(mutex);
    return told.wait_for(lock, std::chrono::seconds(60), [&] { return !lost.empty(); })
           && lost == std::vector{who};
  }
};

TEST_CASE("a house tells when its node is lost", "[apps]") {
  watched_house w;
  w.kill(w.house.node());
  CHECK(w.hears("the node"));
}

TEST_CASE("a house tells when its last pool is lost and not before", "[apps]") {
  watched_house w;
  w.kill(w.house.pools()[0].actor);
  w.kill(w.house.pools()[1].actor);
  CHECK(w.hears("the last pool"));
}

TEST_CASE("a house that ends in order has lost nobody", "[apps]") {
  std::vector<std::string> lost;
  actor_house({watched_house::source()},
              {.on_loss = [&](const std::string& who) { lost.push_back(who); }});
  CHECK(lost.empty());
}

TEST_CASE("a tree can be looked at only while it runs", "[apps]") {
  auto work = tiny_runtime();
  const auto id = work.submit(sampled().request_for(problems[0]));
  work.look(id);
  REQUIRE(work.take(std::chrono::seconds(20)));
  CHECK_FALSE(work.seen(id));
}

TEST_CASE("the training pass finds the logprobs under which a tree was sampled", "[apps]") {
  const auto model = tiny_checkpoint(96);
  runtime work({{"cpu", dtype::float32, model}}, {});
  std::vector<tree> trees;
  run_problems(work, problems, sampled(),
               {.on_tree = [&](std::size_t, const tree& t) { trees.push_back(t); }});
  const transformer scorer(model.weights);
  REQUIRE(trees.size() == problems.size());
  for (auto& t : trees) {
    CHECK(logprob_gap(t, scorer, *model.vocabulary, 1, dtype::float32) < 1e-3);
    for (auto& part : t.threads.front().segments)
      if (part.sampled()) part.logprobs.front() += 0.5f;
    CHECK(logprob_gap(t, scorer, *model.vocabulary, 1, dtype::float32) > 0.4);
  }
}

TEST_CASE("logprobs count under the temperature of sampling", "[apps]") {
  const auto model = tiny_checkpoint(96);
  runtime work({{"cpu", dtype::float32, model}}, {});
  auto hot = sampled();
  hot.sampling.temperature = 2;
  std::vector<tree> trees;
  run_problems(work, std::span(problems).first(1), hot,
               {.on_tree = [&](std::size_t, const tree& t) { trees.push_back(t); }});
  const transformer scorer(model.weights);
  REQUIRE(trees.size() == 1);
  CHECK(logprob_gap(trees[0], scorer, *model.vocabulary, 2, dtype::float32) < 1e-3);
  CHECK(logprob_gap(trees[0], scorer, *model.vocabulary, 1, dtype::float32) > 1e-2);
}

TEST_CASE("what stands in front of every prompt is scored too", "[apps]") {
  const auto model = tiny_checkpoint(96);
  const std::vector<std::int32_t> begin{model.config.eos_id};
  runtime work({{"cpu", dtype::float32, model}}, {.begin = begin});
  std::vector<tree> trees;
  run_problems(work, std::span(problems).first(2), sampled(),
               {.on_tree = [&](std::size_t, const tree& t) { trees.push_back(t); }});
  const transformer scorer(model.weights);
  for (const auto& t : trees)
    CHECK(logprob_gap(t, scorer, *model.vocabulary, 1, dtype::float32) < 1e-3);
}

} // namespace
} // namespace banyan
