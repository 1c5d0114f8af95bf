#include "tests/made_up_training.hpp"

#include <chrono>
#include <optional>
#include <set>

#include <catch2/catch.hpp>

using namespace banyan;
namespace fs = std::filesystem;

TEST_CASE("a run learns from the trees of its node step after step", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  for (std::size_t i = 0; i < log.size(); ++i) {
    CHECK(log[i].at("step") == i + 1);
    // Step 0 is sampled with epoch 0, every later one with the epoch before.
    CHECK(log[i].at("staleness_mean") == (i == 0 ? 0 : 1));
    CHECK(log[i].at("grad_norm").get<double>() > 0);
    CHECK(log[i].at("logprob_gap_max").get<double>() < 1e-4);
    CHECK(log[i].at("groups").at("informative") == 2);
  }
  CHECK(fs::exists(out.path() / "last" / "model.safetensors"));
  for (const auto& done : t.kept->finished)
    for (const auto& s : done.value->root().segments)
      for (auto epoch : s.epochs) CHECK(epoch == done.value->weights_epoch);
}

TEST_CASE("a trainer says what it is doing and how far it is", "[trainer]") {
  std::set<trainer_phase> seen;
  for (int more = 0; more < 400; more += 4) {
    scratch_folder out;
    training t(out.path());
    t.options.learner.micro_tokens = 1; // one part after the other
    t.start();
    t.run_until(2, more);
    const auto now = t.ask<trainer_status>(t.learning, atom::status_v);
    if (!now) break; // it came to its end
    CHECK(now->learnt >= 2);
    seen.insert(now->phase);
  }
  CHECK(seen.contains(trainer_phase::waiting));
  CHECK(seen.contains(trainer_phase::learning));
}

TEST_CASE("without staleness every step is sampled with its own weights", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.staleness = 0;
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  for (const auto& line : log) CHECK(line.at("staleness_mean") == 0);
}

TEST_CASE("a trainer that is asked to stop keeps what it learnt, whatever it is doing",
          "[trainer]") {
  scratch_folder whole;
  training undisturbed(whole.path());
  undisturbed.start();
  undisturbed.run();
  const auto expected = essence(whole.path());
  for (int more = 0; more < 400; more += 1 + more / 6) {
    CAPTURE(more);
    scratch_folder out;
    {
      training t(out.path());
      t.options.checkpoint_every = 0;
      t.start();
      t.run_until(1, more);
      const auto before = log_of(out.path()).size();
      if (before == 4) break; // it came to its end
      caf::anon_send(t.learning, atom::drain_v);
      t.run();
      REQUIRE(t.ended == "");
      CHECK_FALSE(t.result.finished);
      CHECK(t.result.step >= std::int64_t(before));
      CHECK(t.result.last.filename() == "step-00000" + std::to_string(t.result.step));
      CHECK(log_of(out.path()).size() == std::size_t(t.result.step));
    }
    training second(out.path());
    second.start(true);
    second.run();
    REQUIRE(second.ended == "");
    CHECK(essence(out.path()) == expected);
  }
}

TEST_CASE("progress has the step in it that it is told after", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 2;
  std::vector<double> seen;
  t.hooks.on_progress = [&seen](const rl_progress& p) { seen.push_back(p.progress); };
  t.start();
  t.run();
  CHECK(seen == std::vector<double>{0.5, 1});
}

TEST_CASE("a run whose trees go on with new weights learns from them to the end", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.staleness = 2;
  t.options.gap_trees = 100;
  t.rollouts.policy = in_flight::go_on;
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  for (const auto& line : log) CHECK(line.at("logprob_gap_max").get<double>() < 1e-4);
}

TEST_CASE("a step whose time is over before it begins is not begun", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  double now_s = 0;
  int evaluations = 0;
  t.options.minutes = 1;
  t.options.staleness = 0;
  t.options.evaluate_every = 100;
  t.options.schedule.decay = decay_kind::linear;
  t.hooks.seconds = [&now_s] { return now_s; };
  t.hooks.evaluate = [&evaluations](const model_weights&, std::int64_t) {
    return ++evaluations, "{}";
  };
  std::vector<double> seen;
  t.hooks.on_progress = [&seen](const rl_progress& p) { seen.push_back(p.progress); };
  t.start_with([&](const solve_request& r) {
    now_s += 4;
    return t.good_or_bad(r);
  });
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  CHECK(now_s >= 60);
  CHECK(evaluations == 1);
  const auto log = log_of(out.path());
  REQUIRE(log.size() >= 2); // the last one is the evaluation
  for (std::size_t i = 0; i + 1 < log.size(); ++i) CHECK(log[i].at("lr").get<double>() > 0);
  CHECK(t.result.last.filename() == "step-00000" + std::to_string(log.size() - 1));
  CHECK(seen.back() < 1);
}

TEST_CASE("a run that had no time at all evaluates nothing", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  bool evaluated = false;
  t.options.minutes = 1;
  t.options.evaluate_every = 1;
  t.hooks.seconds = [] { return 60.0; };
  t.hooks.evaluate = [&evaluated](const model_weights&, std::int64_t) {
    evaluated = true;
    return "{}";
  };
  t.start_with([&](const solve_request& r) { return t.good_or_bad(r); });
  REQUIRE(t.ended == "");
  CHECK_FALSE(t.result.finished);
  CHECK_FALSE(evaluated);
}

TEST_CASE("a run whose time is over does not wait for the trees of another step", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  double now_s = 0;
  t.options.minutes = 1;
  t.options.staleness = 0;
  t.hooks.seconds = [&now_s] { return now_s; };
  t.start_with([&](const solve_request& r) -> std::optional<tree> {
    if (r.id.starts_with("0.")) return t.good_or_bad(r);
    return {}; // which never end
  });
  t.advance(std::chrono::seconds(2));
  CHECK_FALSE(t.ended);
  now_s = 60;
  t.advance(std::chrono::seconds(2));
  REQUIRE(t.ended == "");
  CHECK(t.result.last.filename() == "step-000001");
}

TEST_CASE("a run compares decoding and training at the temperature of sampling", "[trainer]") {
  const auto largest_gap = [](float sampled_at, double learnt_at) {
    scratch_folder out;
    training t(out.path());
    t.options.steps = 1;
    t.options.learner.temperature = learnt_at;
    t.rollouts.request_for = [sampled_at, plain = t.rollouts.request_for](const auto&... place) {
      auto request = plain(place...);
      request.sampling.temperature = sampled_at;
      return request;
    };
    t.start();
    t.run();
    return log_of(out.path()).at(0).at("logprob_gap_max").get<double>();
  };
  CHECK(largest_gap(2, 2) < 1e-4);
  CHECK(largest_gap(2, 1) > 1e-2);
}
