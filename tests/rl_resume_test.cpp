#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "tests/training.hpp"
#include "trainer/run_folder.hpp"
#include "trainer/run_state.hpp"

#include <cstdio>
#include <limits>
#include <set>
#include <string>

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

using namespace banyan;
namespace fs = std::filesystem;

namespace {

/// One of a single step, with its checkpoint.
void leave_a_run(const fs::path& out) {
  training t(out);
  t.options.steps = 1;
  t.start();
  t.run();
}

/// One value of the file's last tensor is no number from now on. Returns that tensor's name.
std::string spoil(const fs::path& file) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, value] : map_safetensors(file).tensors) all[name] = value.clone();
  all.rbegin()->second.view({-1})[0] = std::numeric_limits<float>::quiet_NaN();
  write_safetensors(file, all);
  return all.rbegin()->first;
}

} // namespace

TEST_CASE("a killed run that goes on has the losses of one that was not killed", "[trainer]") {
  scratch_folder whole;
  training undisturbed(whole.path());
  undisturbed.options.learner.loss.kl = 0.1;
  undisturbed.start();
  undisturbed.run();
  const auto expected = essence(whole.path());
  REQUIRE(expected.size() == 4);
  std::size_t num_taken_over = 0;
  for (const int more : {0, 7, 40, 150}) {
    scratch_folder out;
    auto kept = std::make_shared<stored_trees>();
    {
      training first(out.path());
      first.options.learner.loss.kl = 0.1;
      first.kept = kept;
      first.start();
      first.run_until(2, more);
    }
    training second(out.path());
    second.options.learner.loss.kl = 0.1;
    for (const auto& done : kept->finished) {
      rollout_key key;
      REQUIRE(std::sscanf(done.value->id.c_str(), "%ld.%u.%u.%u", &key.step, &key.group,
                          &key.member, &key.attempt)
              == 4);
      if (key.step >= 2 && done.value->weights_epoch <= 2)
        second.rollouts.known.emplace_back(key, done.value);
    }
    std::set<std::string> known;
    for (const auto& [key, t] : second.rollouts.known) known.insert(t->id);
    num_taken_over += known.size();
    second.start(true);
    second.run();
    REQUIRE(second.ended == "");
    CHECK(essence(out.path()) == expected);
    for (const auto& done : second.kept->finished) CHECK_FALSE(known.contains(done.value->id));
  }
  CHECK(num_taken_over > 0);
}

TEST_CASE("a killed run that was far behind goes on with the weights that it sampled with",
          "[trainer]") {
  const auto far_behind = [](training& t) {
    t.options.steps = 6;
    t.options.staleness = 2;
    t.options.schedule = {.rate = 4e-3, .warmup = 2, .decay = decay_kind::linear, .decay_start = 0};
    t.options.learner.optimizer.kind = optimizer_kind::muon;
    t.options.learner.inner_steps = 2;
    t.options.learner.loss.kl = 0.1;
  };
  scratch_folder whole, out;
  training undisturbed(whole.path());
  far_behind(undisturbed);
  undisturbed.start();
  undisturbed.run();
  REQUIRE(undisturbed.ended == "");
  {
    training killed(out.path());
    far_behind(killed);
    killed.start();
    killed.run_until(3, 0);
  }
  training again(out.path()); // without the trees of open steps: all are sampled once more
  far_behind(again);
  again.start(true);
  again.run();
  REQUIRE(again.ended == "");
  const auto expected = essence(whole.path());
  REQUIRE(expected.size() == 6);
  CHECK(essence(out.path()) == expected);
}

TEST_CASE("a trainer that cannot begin says so", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.start();
    t.run_until(2, 0);
  }
  training again(out.path());
  again.target_device = "nowhere";
  again.start(true);
  again.run();
  REQUIRE(again.ended);
  CHECK_FALSE(again.ended->empty());
}

TEST_CASE("a run goes on with another staleness", "[trainer]") {
  for (const std::int64_t staleness : {0, 3}) {
    scratch_folder out;
    {
      training t(out.path());
      t.start();
      t.run_until(2, 0);
    }
    training again(out.path());
    again.options.staleness = staleness;
    again.start(true);
    again.run();
    REQUIRE(again.ended == "");
    CHECK(again.result.finished);
    for (const auto& line : log_of(out.path())) CHECK(line.at("groups").at("dropped") == 0);
  }
}

TEST_CASE("a checkpoint of another shape is not resumed", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  auto other = tiny_model(*countdown_tokenizer());
  other.intermediate_size = 64;
  rl_options o;
  o.out = out.path();
  rl_run run(o, countdown_tokenizer(), {},
             std::make_shared<model_weights>(random_weights(other, 1)));
  CHECK_THROWS_AS(run.resume(), bad_checkpoint);
}

TEST_CASE("a reference of another shape is told and not learnt against", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  const auto vocabulary = countdown_tokenizer();
  auto other = tiny_model(*vocabulary);
  std::swap(other.intermediate_size, other.hidden_size); // as many numbers, in another order
  other.num_layers = 2;
  fs::remove_all(out / "reference");
  save_checkpoint(out / "reference", random_weights(other, 1), *vocabulary);
  training t(out.path());
  CHECK_THROWS_WITH(t.make_run(true), Catch::Contains("reference/config.json: another shape"));
}

TEST_CASE("a run without its reference names the checkpoints that are left", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  fs::remove_all(out / "reference");
  training t(out.path());
  CHECK_THROWS_WITH(t.make_run(true),
                    Catch::Contains("reference: ") && Catch::Contains("step-000001"));
}

TEST_CASE("a step and epochs that do not fit each other are damage", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.options.steps = 2;
    t.start();
    t.run();
  }
  const auto file = out.path() / "last" / "trainer.json";
  nlohmann::json whole;
  std::ifstream(file) >> whole;
  const auto refused = [&](const char* name, const nlohmann::json& value) {
    auto damaged = whole;
    damaged[name] = value;
    std::ofstream(file) << damaged;
    training t(out.path());
    CHECK_THROWS_WITH(t.make_run(true), Catch::Contains("trainer.json"));
  };
  refused("step", -5);
  refused("epochs", nlohmann::json::array());
  refused("epochs", {2, 1});
}

TEST_CASE("a value that is no number is found in whatever file of a checkpoint it is",
          "[trainer]") {
  for (const fs::path file : {"last/trainer.safetensors", "last/epoch-0.safetensors",
                              "last/model.safetensors", "reference/model.safetensors"}) {
    scratch_folder out;
    leave_a_run(out.path());
    const auto tensor = spoil(out.path() / file);
    CHECK(step_of_checkpoint(out / "last").has_value() == (file.parent_path() == "reference"));
    training t(out.path());
    const std::string way = file.parent_path() == "reference"
                                ? " (step-000000 and "
                                : "; go back to an earlier checkpoint";
    CHECK_THROWS_WITH(t.make_run(true), Catch::Contains(file.string() + ": " + tensor)
                                            && Catch::Contains("not finite" + way));
  }
}

TEST_CASE("a checkpoint is whole with all that it speaks of", "[trainer]") {
  for (const auto* file : {"epoch-0.safetensors", "config.json", "trainer.json", "banyan.json"}) {
    scratch_folder out;
    leave_a_run(out.path());
    std::ofstream(out / "last/banyan.json") << "{}";
    REQUIRE(step_of_checkpoint(out / "last") == 1);
    if (std::string_view(file) == "banyan.json")
      std::ofstream(out / "last" / file) << "{";
    else
      fs::remove(out / "last" / file);
    CHECK_FALSE(step_of_checkpoint(out / "last"));
    CHECK(newest_whole_checkpoint(out.path()) == "step-000000");
  }
}

TEST_CASE("numbers that the trainer did not write are found in whatever file of a checkpoint",
          "[trainer]") {
  for (const fs::path name : {"trainer.safetensors", "epoch-0.safetensors", "model.safetensors"}) {
    scratch_folder out;
    leave_a_run(out.path());
    const auto file = out / "last" / name;
    {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp(-8, std::ios::end);
      bytes.write("\0\0\0\0\0\0\0", 8);
    }
    CHECK_FALSE(step_of_checkpoint(out / "last"));
    training t(out.path());
    CHECK_THROWS_WITH(t.make_run(true), Catch::Contains(file.string() + ": it is not as it was"));
    fs::remove(out / "last" / "checksums.json"); // as of an earlier version
    CHECK_NOTHROW(training(out.path()).make_run(true));
  }
}

TEST_CASE("a log that lost lines is told and gone on with", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  std::ofstream(out / "log.jsonl") << "no JSON\n";
  training t(out.path());
  std::vector<std::string> said;
  t.hooks.voice.warn = [&said](std::string_view line) { said.emplace_back(line); };
  t.make_run(true);
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::Contains("log.jsonl: the lines of 1 step are missing"));
}

TEST_CASE("the checkpoint that cannot be gone on from is not offered", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  CHECK(newest_whole_checkpoint(out.path()) == "step-000001");
  CHECK(newest_whole_checkpoint(out.path(), "step-000001") == "step-000000");
}

TEST_CASE("a damaged trainer.json is told in words of ours", "[trainer]") {
  scratch_folder out;
  leave_a_run(out.path());
  const auto refused = [&](const char* text, const char* why) {
    std::ofstream(out / "last/trainer.json") << text;
    training t(out.path());
    CHECK_THROWS_WITH(t.make_run(true), Catch::EndsWith(std::string("last/trainer.json: ") + why
                                                        + "; go back to an earlier checkpoint"));
  };
  refused("{\"step\": 1, ", "not JSON");
  refused("{}", "an entry is missing, or is not what it should be");
  refused("{\"step\": \"one\"}", "an entry is missing, or is not what it should be");
}
