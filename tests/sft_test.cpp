#include "trainer/sft.hpp"

#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/scarce_memory.hpp"
#include "tests/scratch_folder.hpp"

#include <cmath>
#include <fstream>
#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>

using namespace banyan;
namespace fs = std::filesystem;

namespace {

sft_options small_run(const fs::path& out) {
  sft_options o;
  o.out = out;
  o.steps = 12;
  o.schedule.rate = 1e-3;
  o.schedule.warmup = 4;
  o.log_every = 1;
  o.checkpoint_every = 4;
  o.keep = 2;
  o.model.hidden_size = 16;
  o.model.num_layers = 1;
  o.model.num_heads = o.model.num_kv_heads = 1;
  o.model.head_dim = 16;
  o.model.intermediate_size = 24;
  auto& c = o.curriculum;
  c.drill_steps = 3;
  c.drill_rows = 2;
  c.trees_low = c.trees_high = 1;
  c.search = {.beam_low = 3, .beam_high = 3, .sub_beam_low = 2, .sub_beam_high = 2};
  return o;
}

sft_run make_run(const sft_options& o, sft_hooks hooks = {},
                 std::shared_ptr<model_weights> initial = {}) {
  return sft_run(o, countdown_tokenizer(), curriculum(o.curriculum, countdown_tokenizer(), {}),
                 std::move(hooks), std::move(initial));
}

std::vector<nlohmann::json> log_of(const fs::path& out) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(out / "log.jsonl");
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::vector<double> losses_of(const fs::path& out) {
  std::vector<double> all;
  for (const auto& line : log_of(out)) all.push_back(line.at("loss"));
  return all;
}

} // namespace

TEST_CASE("a run that was stopped and resumed has the losses of an undisturbed one", "[trainer]") {
  scratch_folder straight, broken;
  make_run(small_run(straight.path())).run();
  int steps = 0;
  auto first = make_run(small_run(broken.path()), {.stop = [&] { return ++steps == 5; }}).run();
  CHECK(!first.finished);
  auto second = make_run(small_run(broken.path()));
  second.resume();
  CHECK(second.run().finished);
  CHECK(losses_of(broken.path()) == losses_of(straight.path()));
}

TEST_CASE("a killed run loses only what came after its last checkpoint", "[trainer]") {
  scratch_folder straight, killed;
  make_run(small_run(straight.path())).run();
  {
    auto run = make_run(small_run(killed.path()), {.on_progress = [](const sft_progress& p) {
                          if (p.step == 7) throw std::runtime_error("killed");
                        }});
    CHECK_THROWS(run.run());
  }
  REQUIRE(losses_of(killed.path()).size() == 7); // logged up to step 7, kept up to step 4
  auto again = make_run(small_run(killed.path()));
  again.resume();
  again.run();
  CHECK(losses_of(killed.path()) == losses_of(straight.path()));
}

TEST_CASE("as many checkpoints stay as are asked for and the link names the newest", "[trainer]") {
  scratch_folder out;
  make_run(small_run(out.path())).run();
  CHECK(fs::exists(out / "step-000008"));
  CHECK(!fs::exists(out / "step-000004"));
  CHECK(fs::read_symlink(out / "last") == "step-000012");
}

TEST_CASE("training makes the loss smaller", "[trainer]") {
  scratch_folder out;
  auto o = small_run(out.path());
  o.steps = 100;
  o.schedule.rate = 1e-2;
  make_run(o).run();
  const auto losses = losses_of(out.path());
  CHECK(losses.back() < 0.8 * losses.front());
}

namespace {

/// Weights of the last checkpoint, as bytes.
std::string saved_weights(const fs::path& out) {
  std::ifstream in(out / "last" / "model.safetensors", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

TEST_CASE("a run whose weights diverge ends with the checkpoint from before", "[trainer]") {
  scratch_folder out, same_start;
  auto o = small_run(out.path());
  o.max_bad_steps = 3;
  o.checkpoint_every = 1;
  o.keep = 1;
  o.schedule.rate = 1e30; // the first update takes the weights away
  o.schedule.warmup = 0;
  auto run = make_run(o);
  CHECK_THROWS_WITH(run.run(), Catch::Contains("the gradient is not finite"));
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4); // a good one, and all of the bad
  CHECK(log[0].at("grad_norm").is_number());
  CHECK(log[3].at("grad_norm").is_null());
  CHECK(fs::read_symlink(out / "last") == "step-000000");
  auto untrained = small_run(same_start.path());
  untrained.steps = 0;
  make_run(untrained).run();
  CHECK((saved_weights(out.path()) == saved_weights(same_start.path()))); // too long to be shown
}

TEST_CASE("memory that does not suffice for a step costs none of those before it", "[trainer]") {
  scratch_folder out;
  auto o = small_run(out.path());
  o.checkpoint_every = 0;
  bool refused = false;
  std::optional<scarce_memory> scarce;
  const auto run_short = [&](const sft_progress& p) {
    if (p.step != 5) return;
    scarce.emplace([&refused](std::size_t bytes) {
      return refused || bytes < 4096 || std::exchange(refused, true);
    });
  };
  const auto words = [](remedy r) {
    return std::string(r == remedy::smaller_batches ? "smaller" : "another");
  };
  auto run = make_run(o, {.on_progress = run_short, .voice = {{}, words}});
  CHECK_THROWS_WITH(run.run(), "memory does not suffice for step 6; smaller");
  CHECK(refused);
  CHECK(fs::read_symlink(out / "last") == "step-000005");
}

TEST_CASE("a run that is stopped in a bad step keeps its last good weights", "[trainer]") {
  scratch_folder out;
  auto o = small_run(out.path());
  o.schedule.rate = 1e30;
  o.schedule.warmup = 0;
  int steps = 0;
  std::vector<std::string> told;
  const auto warn = [&](std::string_view line) { told.emplace_back(line); };
  const auto result =
      make_run(o, {.voice = {warn, {}}, .stop = [&] { return ++steps == 2; }}).run();
  CHECK(result.step == 2);
  CHECK(result.skipped == 1);
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], Catch::StartsWith("step 2: the gradient is not finite; "));
  CHECK(result.last.filename() == "step-000000");
}

TEST_CASE("every step is logged whatever is shown and however the run is cut", "[trainer]") {
  scratch_folder straight, broken;
  auto o = small_run(straight.path());
  o.log_every = 5;
  o.checkpoint_every = 4;
  std::vector<std::int64_t> shown;
  make_run(o, {.on_progress = [&](const sft_progress& p) { shown.push_back(p.step); }}).run();
  CHECK(shown == std::vector<std::int64_t>{5, 10});
  CHECK(losses_of(straight.path()).size() == 12);
  o.out = broken.path();
  int steps = 0;
  make_run(o, {.stop = [&] { return ++steps == 7; }}).run();
  auto again = make_run(o);
  again.resume();
  again.run();
  CHECK(losses_of(broken.path()) == losses_of(straight.path()));
}

TEST_CASE("an evaluation that was broken off is repeated after a restart", "[trainer]") {
  scratch_folder out;
  auto o = small_run(out.path());
  o.steps = 6;
  o.evaluate_every = 4;
  int steps = 0;
  make_run(o, {.evaluate = [](const model_weights&, std::int64_t) { return std::string(); },
               .stop = [&] { return ++steps == 4; }})
      .run();
  CHECK(log_of(out.path()).size() == 4);
  int evaluated = 0;
  const auto evaluate = [&](const model_weights&, std::int64_t) {
    return ++evaluated, R"({"accuracy": 1})";
  };
  auto again = make_run(o, {.evaluate = evaluate});
  again.resume();
  again.run();
  std::vector<std::int64_t> at;
  for (const auto& line : log_of(out.path()))
    if (line.contains("eval")) at.push_back(line.at("step"));
  CHECK(at == std::vector<std::int64_t>{4, 6});
  CHECK(evaluated == 2);
}

TEST_CASE("a run resumed with another shape is refused", "[trainer]") {
  scratch_folder out;
  make_run(small_run(out.path())).run();
  auto o = small_run(out.path());
  o.model.hidden_size = 32;
  auto run = make_run(o);
  CHECK_THROWS_AS(run.resume(), bad_checkpoint);
}

TEST_CASE("evaluations are logged with their step", "[trainer]") {
  scratch_folder out;
  auto o = small_run(out.path());
  o.steps = 4;
  o.evaluate_every = 4;
  make_run(o,
           {.evaluate = [](const model_weights&, std::int64_t) { return R"({"accuracy": 0.5})"; }})
      .run();
  const auto log = log_of(out.path());
  CHECK(log.back().at("step") == 4);
  CHECK(log.back().at("eval").at("accuracy") == 0.5);
  CHECK(log.size() == 5); // four steps and one evaluation of the last
}

TEST_CASE("the rate rises and holds and falls to zero", "[trainer]") {
  schedule_options o;
  o.rate = 1;
  o.warmup = 10;
  o.decay_start = 0.5;
  CHECK(rate_at(o, 0, 0) == Approx(0.1));
  CHECK(rate_at(o, 100, 0.4) == 1);
  CHECK(rate_at(o, 100, 0.75) == Approx(0.5));
  CHECK(rate_at(o, 100, 0.625) == Approx(0.75));
  CHECK(rate_at(o, 100, 1) == 0);
  o.decay = decay_kind::cosine;
  CHECK(rate_at(o, 100, 0.75) == Approx(0.5));
  CHECK(rate_at(o, 100, 0.625) == Approx((1 + std::sqrt(0.5)) / 2)); // cos(π / 4)
  o.decay = decay_kind::none;
  CHECK(rate_at(o, 100, 1) == 1);
}

TEST_CASE("every line of a drill is right and only its result is learnt", "[trainer]") {
  const auto vocabulary = countdown_tokenizer();
  for (std::uint64_t i = 0; i < 50; ++i) {
    drill_options o;
    if (i % 3 != 0) o.max_result = i % 3 == 1 ? 99 : 9999; // the ends of what may be asked for
    const auto s = arithmetic_drill(o, *vocabulary, 7, i);
    std::string learnt, results;
    for (auto id : s.targets)
      if (id >= 0) learnt += vocabulary->piece(id);
    std::istringstream lines(vocabulary->decode(s.ids));
    for (std::string line; std::getline(lines, line);) {
      const auto op = parse_operation(line);
      REQUIRE(op);
      CHECK(apply(op->left, op->symbol, op->right) == op->result);
      CHECK(op->result <= o.max_result);
      results += std::to_string(op->result) + "\n";
    }
    CHECK(learnt == results);
  }
}
