#include "trainer/run_course.hpp"

#include "model/weights.hpp"
#include "tests/scratch_folder.hpp"
#include "trainer/train_log.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

TEST_CASE("a course of steps is over after the last", "[trainer]") {
  run_course c({.steps = 2, .max_bad_steps = 1});
  CHECK(c.progress(0) == 0);
  CHECK(c.progress(1) == 0.5);
  c.step = 1;
  CHECK_FALSE(c.done());
  c.step = 2;
  CHECK(c.has_finished());
}

TEST_CASE("a course of minutes is over with them, and has finished if there was a step",
          "[trainer]") {
  double now_s = 0;
  run_course c({.steps = 1, .minutes = 2, .max_bad_steps = 1}, [&now_s] { return now_s; });
  c.step = 0;
  now_s = 60;
  CHECK(c.progress(0) == 0.5);
  CHECK_FALSE(c.done());
  now_s = 120;
  CHECK(c.done());
  CHECK_FALSE(c.has_finished());
  c.step = 1;
  CHECK(c.has_finished());
}

TEST_CASE("it is time to evaluate now and then, and at the end", "[trainer]") {
  run_course c({.steps = 5, .evaluate_every = 2, .max_bad_steps = 1});
  std::vector<std::int64_t> evaluated;
  for (; c.step <= 5; ++c.step)
    if (c.is_time_to_evaluate()) evaluated.push_back(c.step);
  CHECK(evaluated == std::vector<std::int64_t>{2, 4, 5});
  run_course never({.steps = 5, .max_bad_steps = 1});
  never.step = 5;
  CHECK_FALSE(never.is_time_to_evaluate());
}

TEST_CASE("bad steps in a row end a run, and are no burden to one that goes on from a good step",
          "[trainer]") {
  const course_options twice{.steps = 9, .max_bad_steps = 2};
  run_course c(twice);
  std::vector<std::string> told;
  const run_voice tell{[&told](std::string_view line) { told.emplace_back(line); },
                       [](remedy r) { return r == remedy::lower_rate ? "slow down" : "?"; }};
  c.step = 1;
  c.count(not_finite::nothing, tell);
  for (; c.step < 3; ++c.step) c.count(not_finite::loss, tell);
  CHECK(told.size() == 2);
  CHECK(c.has_failed());
  CHECK(c.is_worth_saving()); // for the good step
  CHECK_THROWS_WITH(c.give_up(not_finite::loss, tell),
                    Catch::Contains("(2 bad steps in a row); slow down"));
  run_course again(twice);
  again.restore(c.state());
  CHECK(again.skipped == 2);
  CHECK_FALSE(again.has_failed());
  again.count(not_finite::loss, tell);
  CHECK_FALSE(again.has_failed());
}

TEST_CASE("steps that were all bad are not worth a checkpoint", "[trainer]") {
  run_course c({.steps = 9, .checkpoint_every = 1, .max_bad_steps = 5});
  c.has_saved();
  c.step = 1;
  c.count(not_finite::gradient, {});
  CHECK_FALSE(c.is_worth_saving());
  CHECK_FALSE(c.is_time_to_save());
}

class evaluated_run {
public:
  void evaluate(const weights_judge& judge) { course.evaluate(judge, {}, log, voice); }
  void take_up() { course.take_up(log, voice); }

  std::int64_t in_log(std::int64_t until) { return log.keep_until(until).evaluated; }

  scratch_folder out;
  run_course course{{.steps = 9, .evaluate_every = 1, .max_bad_steps = 1}};
  std::vector<std::string> told;
  run_voice voice{[this](std::string_view line) { told.emplace_back(line); }, {}};
  train_log log{out / "log.jsonl"};
};

TEST_CASE("a step is evaluated once", "[trainer]") {
  evaluated_run r;
  int calls = 0;
  const auto judge = [&calls](const model_weights&, std::int64_t step) {
    ++calls;
    CHECK(step == 3);
    return std::string(R"({"solved":1})");
  };
  r.course.step = 3;
  for (int i = 0; i < 2; ++i) r.evaluate(judge);
  CHECK(calls == 1);
  CHECK(r.course.is_evaluated());
  CHECK(r.in_log(3) == 3);
  CHECK(r.in_log(2) == -1);
}

TEST_CASE("an evaluation that was broken off is made again, one that failed is not", "[trainer]") {
  evaluated_run r;
  r.course.step = 3;
  r.evaluate([](const model_weights&, std::int64_t) { return std::string(); });
  CHECK_FALSE(r.course.is_evaluated());
  CHECK(r.told.empty());
  r.evaluate([](const model_weights&, std::int64_t) -> std::string {
    throw std::runtime_error("no room");
  });
  CHECK(r.course.is_evaluated());
  CHECK(r.told == std::vector<std::string>{"step 3: it could not be evaluated: no room"});
  CHECK(r.in_log(3) == -1);
}

TEST_CASE("what the log has of an evaluation is not made again", "[trainer]") {
  evaluated_run r;
  for (const auto step : {2, 3}) {
    r.log.write_evaluation(step, "{}");
    r.course.step = 3;
    r.take_up();
    CHECK(r.course.is_evaluated() == (step == 3));
  }
  const auto missing = ": the lines of 3 steps are missing; the run goes on without them";
  CHECK(r.told == std::vector<std::string>(2, (r.out / "log.jsonl").string() + missing));
}

} // namespace
} // namespace banyan
