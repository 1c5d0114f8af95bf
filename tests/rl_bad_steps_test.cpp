#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "tests/made_up_training.hpp"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;

TEST_CASE("steps whose loss is not finite are skipped and end the run in the end", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 100;
  t.options.max_bad_steps = 3;
  t.start_with([&t](const solve_request& r) { return t.without_loss(r); });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("not finite"));
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 3);
  CHECK(log.back().at("skipped") == 3);
  CHECK_THAT(log.back().at("warning").get<std::string>(),
             Catch::StartsWith("step 3: the loss is not finite"));
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding)); // as they were
}

TEST_CASE("a loss that is not finite in one part of a step is none of the whole", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 1;
  t.options.learner.micro_tokens = 1; // a part a group, or less
  t.options.learner.loss.kl = 0.1;
  t.start_with([&t](const solve_request& r) {
    return r.id.starts_with("0.0.") ? t.good_or_bad(r) : t.without_loss(r);
  });
  REQUIRE(t.ended == "");
  const auto line = log_of(out.path()).at(0);
  CHECK(line.at("skipped") == 1);
  CHECK(line.at("sequences") > 1);
  for (const auto* name : {"loss", "grad_norm", "kl", "kl_max", "entropy", "tokens_per_s"}) {
    INFO(name);
    CHECK(line.at(name).is_null());
  }
}

TEST_CASE("weights that an update made useless are undone and never published", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.schedule.rate = 1e36;
  t.options.max_bad_steps = 2;
  t.options.steps = 100;
  t.start();
  t.run();
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("weights") && Catch::Contains("not finite"));
  CHECK(log_of(out.path()).size() == 2);
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding));
}

TEST_CASE("what is saved after steps that were undone is what was there before them", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.schedule.rate = 1e36;
  t.options.steps = 2;
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  REQUIRE(t.result.skipped == 2);
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding));
  const auto optimizer = map_safetensors(out.path() / "last" / "trainer.safetensors").tensors;
  REQUIRE(optimizer.size() > 1);
  for (const auto& [name, value] : optimizer) {
    INFO(name);
    CHECK(value.abs().sum().item<double>() == 0);
  }
}

TEST_CASE("a run that ends with bad steps keeps the checkpoints from before them", "[trainer]") {
  scratch_folder out;
  {
    training first(out.path());
    first.options.steps = 2;
    first.start();
    first.run();
  }
  made_up_training t(out.path());
  t.options.steps = 4;
  t.options.max_bad_steps = 100;
  t.start_with([&t](const solve_request& r) { return t.without_loss(r); }, true);
  REQUIRE(t.ended == "");
  CHECK(t.result.skipped == 2);
  CHECK(t.result.last.filename() == "step-000002");
  CHECK(std::filesystem::read_symlink(out / "last") == "step-000002");
  CHECK(std::filesystem::exists(out / "step-000001"));
  CHECK_FALSE(std::filesystem::exists(out / "step-000004"));
}

TEST_CASE("what was learnt before bad steps is saved at the end", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 3;
  t.options.staleness = 0;
  t.options.checkpoint_every = 0;
  t.start_with([&t](const solve_request& r) {
    return r.id.starts_with("2.") ? t.without_loss(r) : t.good_or_bad(r);
  });
  REQUIRE(t.ended == "");
  CHECK(t.result.skipped == 1);
  CHECK(std::filesystem::read_symlink(out / "last") == "step-000003");
}

TEST_CASE("what was learnt before the bad steps that end a run is saved", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 100;
  t.options.max_bad_steps = 2;
  t.options.staleness = 0;
  t.options.checkpoint_every = 10;
  t.start_with(
      [&t](const solve_request& r) { return r.id < "2." ? t.good_or_bad(r) : t.without_loss(r); });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("not finite"));
  CHECK(t.result.step == 4);
  CHECK(t.result.last.filename() == "step-000004");
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK_FALSE(at::equal(last.weights->embedding, t.weights()->embedding));
  CHECK(at::equal(last.weights->embedding, t.trained->embedding)); // without the bad steps
}

TEST_CASE("a step that teaches nothing says nothing about bad ones", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 100;
  t.options.max_bad_steps = 2;
  t.rollouts.plan.reward = [](const tree& x) {
    return x.id.starts_with("1.") ? 1 : double(x.outcome.solved); // nothing to learn in step 1
  };
  t.start_with([&t](const solve_request& r) { return t.without_loss(r); });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("the loss is not finite"));
  CHECK(log_of(out.path()).size() == 3);
}
