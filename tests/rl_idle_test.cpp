#include "tests/training.hpp"

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("a step that teaches nothing has no figures of learning but the gap", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 1;
  t.rollouts.plan.reward = [](const tree&) { return 1; };
  t.start();
  t.run();
  const auto line = log_of(out.path()).at(0);
  for (const auto* name : {"loss", "grad_norm", "tokens_per_s", "kl", "kl_max", "entropy",
                           "clip_share", "importance_mean", "staleness_mean"})
    CHECK(line.at(name).is_null());
  CHECK(line.at("logprob_gap_max").get<double>() > 0);
  CHECK(line.at("logprob_gap_max").get<double>() < 1e-4);
}

TEST_CASE("a group without variance is not informative though it is trained on", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 1;
  t.rollouts.plan.dynamic_sampling = false;
  t.rollouts.plan.reward = [](const tree& x) {
    return x.id.starts_with("0.0.") ? 1
                                    : double(x.id.ends_with("0.0")); // members of group 1 differ
  };
  t.start();
  t.run();
  const auto line = log_of(out.path()).at(0);
  CHECK(line.at("groups").at("all") == 2);
  CHECK(line.at("groups").at("informative") == 1);
}

TEST_CASE("a run that learns nothing says so once", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 5;
  t.rollouts.plan.max_groups = 1;
  t.rollouts.plan.reward = [](const tree&) { return 1; };
  std::vector<std::string> said;
  t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
  t.start();
  t.run();
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0],
             Catch::StartsWith("step 3: for 3 steps no trees of a problem")
                 && Catch::EndsWith("most trees used up their budget")); // of the fixture's five
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 5);
  for (const std::size_t i : {0, 1, 3, 4}) CHECK_FALSE(log[i].contains("warning"));
  CHECK(log[2].at("warning") == said[0]);
}

TEST_CASE("a short run that learns nothing says so at its end", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 2;
  t.rollouts.plan.max_groups = 1;
  t.rollouts.plan.reward = [](const tree&) { return 0; };
  std::vector<std::string> said;
  t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
  t.start();
  t.run();
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::StartsWith("step 2: for 2 steps no trees of a problem"));
  CHECK(log_of(out.path()).back().at("warning") == said[0]);
}

TEST_CASE("steps that taught nothing count over a restart", "[trainer]") {
  scratch_folder out;
  std::vector<std::string> said;
  for (const int steps : {2, 4}) {
    training t(out.path());
    t.options.steps = 4;
    t.rollouts.plan.max_groups = 1;
    t.rollouts.plan.reward = [](const tree&) { return 1; };
    t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
    t.start(steps == 4);
    steps == 4 ? t.run() : t.run_until(2, 0);
  }
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::StartsWith("step 3: for 3 steps"));
}
