#include "model/transformer.hpp"
#include "tests/file_limit.hpp"
#include "tests/made_up_training.hpp"
#include "tests/store_in_folder.hpp"
#include "trainer/store_actor.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <optional>
#include <stdexcept>

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("trees that the machine failed are rolled out again", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 1;
  t.start_with([&t](const solve_request& r) {
    auto made = t.good_or_bad(r);
    if (r.id.ends_with(".0.0")) made.failure = errc::pool_lost; // first attempt of first members
    return made;
  });
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  CHECK(log.at(0).at("repeated") == 2);
  CHECK(log.at(0).at("repeated_by_failure") == nlohmann::json{{"pool_lost", 2}});
  CHECK(log.at(0).at("groups").at("dropped") == 0);
}

TEST_CASE("that many trees are late is told once", "[trainer]") {
  const bool many = GENERATE(true, false);
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 2;
  if (!many) t.rollouts.plan.group = 12;
  std::vector<std::string> said;
  t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
  t.start_with([&t](const solve_request& r) {
    auto made = t.good_or_bad(r);
    if (r.id.ends_with(".0.0")) made.failure = errc::deadline; // first attempt of first members
    return made;
  });
  REQUIRE(t.ended == "");
  REQUIRE(said.size() == std::size_t{many});
  if (!many) return;
  CHECK(said[0]
        == "step 1: 2 trees were late, or paused, and rolled out again, beside 6 that were not");
  CHECK(log_of(out.path()).at(0).at("warning") == said[0]);
}

TEST_CASE("the log says how hard the groups were that were dropped", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 1;
  auto& plan = t.rollouts.plan;
  plan.prompts = 10;
  plan.group = 4;
  plan.max_groups = 2;
  plan.max_attempts = 1;
  // Of the first ten groups the last tree is lost, or the first, before anything is known.
  constexpr unsigned solved[] = {0, 1, 1, 2, 2, 2};
  t.start_with([&](const solve_request& r) {
    unsigned group = 0, member = 0;
    CHECK(std::sscanf(r.id.c_str(), "0.%u.%u", &group, &member) == 2);
    auto made = t.good_or_bad(r);
    if (group >= 10) return made;
    if (group < std::size(solved)) made.outcome.solved = member < solved[group];
    if (member == (group < std::size(solved) ? 3U : 0U)) made.failure = errc::pool_lost;
    return made;
  });
  REQUIRE(t.ended == "");
  const auto line = log_of(out.path()).at(0);
  CHECK(line.at("groups").at("dropped") == 10);
  CHECK(line.at("dropped_by_difficulty")
        == nlohmann::json{{"hard", 1}, {"medium", 2}, {"easy", 3}, {"unknown", 4}});
}

TEST_CASE("a store that refuses for a while costs no tree and no attempt", "[trainer]") {
  scratch_folder undisturbed, disturbed;
  training whole(undisturbed.path());
  whole.start();
  whole.run();
  training t(disturbed.path());
  t.rollouts.plan.max_attempts = 1;
  t.start();
  t.kept->fails = true;
  t.run_until(2, 0);
  const auto stored_then = t.kept->finished.size();
  t.kept->fails = false;
  t.run();
  REQUIRE(t.ended == "");
  CHECK(stored_then == 0);
  CHECK_FALSE(t.kept->finished.empty());
  CHECK(essence(disturbed.path()) == essence(undisturbed.path()));
}

TEST_CASE("a run goes on while its file is full or locked and no tree from before is lost",
          "[trainer]") {
  const bool full = GENERATE(true, false);
  scratch_folder undisturbed, disturbed;
  training whole(undisturbed.path());
  whole.start();
  whole.run();
  const auto file = disturbed / "trees.db";
  tree_store other(file);
  finish_large(other, 10); // more than a checkpoint needs
  training t(disturbed.path());
  t.rollouts.plan.max_attempts = 1;
  std::vector<std::string> troubles;
  store_actor_options keeping;
  keeping.on_trouble = [&troubles](const std::string& now) { troubles.push_back(now); };
  t.store = spawn_store(t.sys, tree_store(file, {.busy_s = 0.001}), std::move(keeping), false);
  {
    std::optional<file_limit> limit;
    full ? void(limit.emplace(std::filesystem::file_size(disturbed / "trees.db-wal")))
         : other.begin();
    t.start();
    t.run_until(2, 0);
    if (!full) other.roll_back();
  }
  CHECK(other.counts().finished == 10);
  t.run();
  t.advance(std::chrono::seconds(10));
  REQUIRE(t.ended == "");
  CHECK(essence(disturbed.path()) == essence(undisturbed.path()));
  REQUIRE(troubles.size() == 2);
  CHECK_THAT(troubles[0], Catch::Contains("trees.db"));
  CHECK(troubles[1] == "");
  const auto names = listed(other, {.limit = SIZE_MAX});
  const auto of = [&names](const char* begin) {
    return std::ranges::count_if(names, [=](const auto& id) { return id.starts_with(begin); });
  };
  CHECK(of("t") == 10);
  CHECK(of("3.") >= 6); // all of the last step
}

TEST_CASE("a step of which no tree can be rolled out ends the run and says why", "[trainer]") {
  const auto [failure, told] =
      GENERATE(table<errc, std::string>({{errc::pool_lost, "trees failed: 56 with pool_lost"},
                                         {errc::deadline, "all 56 trees were late"}}));
  scratch_folder out;
  made_up_training t(out.path());
  t.start_with([&t, why = failure](const solve_request& r) {
    auto made = t.good_or_bad(r);
    made.failure = why;
    return made;
  });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended,
             Catch::Contains("step 1") && Catch::Contains("rolled out") && Catch::EndsWith(told));
  CHECK(t.result.step == 0);
}

TEST_CASE("a run whose weights cannot be evaluated goes on", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.evaluate_every = 2;
  std::vector<std::string> said;
  t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
  t.hooks.evaluate = [](const model_weights&, std::int64_t) -> std::string {
    throw std::runtime_error("no room for another pool");
  };
  t.start_with([&t](const solve_request& r) { return t.good_or_bad(r); });
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  CHECK(said
        == std::vector<std::string>{"step 2: it could not be evaluated: no room for another pool",
                                    "step 4: it could not be evaluated: no room for another pool"});
}

TEST_CASE("an evaluation at the end that was broken off is made up for", "[trainer]") {
  const bool broken_off = GENERATE(true, false);
  scratch_folder out;
  {
    made_up_training t(out.path());
    t.options.evaluate_every = 3; // the run has 4 steps
    t.hooks.evaluate = [broken_off, calls = 0](const model_weights&, std::int64_t) mutable {
      return ++calls == 2 && broken_off ? std::string() : std::string(R"({"solved":1})");
    };
    t.start_with([&t](const solve_request& r) { return t.good_or_bad(r); });
    REQUIRE(t.ended == "");
  }
  made_up_training again(out.path());
  again.options.evaluate_every = 3;
  int calls = 0;
  again.hooks.evaluate = [&calls](const model_weights&, std::int64_t) {
    ++calls;
    return std::string(R"({"solved":1})");
  };
  again.start_with([&again](const solve_request& r) { return again.good_or_bad(r); }, true);
  REQUIRE(again.ended == "");
  CHECK(calls == (broken_off ? 1 : 0));
}

TEST_CASE("a run whose node is gone says so", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.start();
  t.run_until(1, 0);
  t.end(t.node);
  t.run();
  REQUIRE(t.ended);
  CHECK_FALSE(t.ended->empty());
  CHECK(t.result.step >= 1);
}

TEST_CASE("a run whose only pool is lost keeps what it learnt", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.checkpoint_every = 0;
  t.start();
  t.run_until(2, 0);
  const auto learnt = log_of(out.path()).size();
  t.end(t.pools[0]);
  t.run();
  REQUIRE(t.ended);
  CHECK_FALSE(t.ended->empty());
  std::ifstream saved(out.path() / "last" / "trainer.json");
  const auto step = nlohmann::json::parse(saved).at("step");
  CHECK(step >= learnt);
  CHECK(log_of(out.path()).back().at("step") == step); // also where it broke off while publishing
}

TEST_CASE("a run goes on with the pools that are left", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.num_pools = 2;
  t.start();
  t.run_until(1, 0);
  t.end(t.pools[1]);
  t.run();
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  CHECK(log_of(out.path()).size() == 4);
  REQUIRE(t.told.size() == 1);
  CHECK_THAT(t.told[0], Catch::Contains("a pool on cpu did not take the weights of epoch"));
}

TEST_CASE("a pool that does not take weights ends so that nobody samples from old ones",
          "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.rollouts.policy = in_flight::go_on;
  t.num_pools = 2;
  t.start();
  t.run_until(1, 0);
  // From now on everything that the trainer has comes too late for it.
  auto far_ahead = std::make_shared<transformer>(t.weights());
  far_ahead->prepare();
  t.self->send(t.pools[1], weights_ready{1'000'000, far_ahead, {}});
  t.run();
  REQUIRE(t.ended == "");
  auto reply = t.self->request(t.pools[1], caf::infinite, atom::status_v);
  t.run();
  CHECK_FALSE(deterministic_system::take<pool_status>(reply));
  CHECK(t.told.size() == 1);
}
