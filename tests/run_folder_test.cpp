#include "trainer/run_folder.hpp"

#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/sampled_tree.hpp"
#include "tests/scratch_folder.hpp"

#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace banyan;
namespace fs = std::filesystem;

namespace {

void save(run_folder& folder, std::int64_t step) {
  static const auto vocabulary = countdown_tokenizer();
  static const auto weights = random_weights(tiny_model(*vocabulary), 1);
  folder.save(step, weights, *vocabulary, {});
}

std::set<std::string> names(const fs::path& folder) {
  std::set<std::string> all;
  for (const auto& entry : fs::directory_iterator(folder))
    all.insert(entry.path().filename().string());
  return all;
}

using strings = std::set<std::string>;

} // namespace

TEST_CASE("the newest checkpoints stay by number and not by name", "[trainer]") {
  scratch_folder out;
  run_folder folder(out.path(), 2);
  for (const std::int64_t step : {999998, 999999, 1000000, 1000001}) save(folder, step);
  CHECK(names(out.path()) == strings{"step-1000000", "step-1000001", "last", "lock"});
}

TEST_CASE("a checkpoint before others makes those others go and not itself", "[trainer]") {
  scratch_folder out;
  {
    run_folder folder(out.path(), 5);
    for (const std::int64_t step : {2, 3, 8, 9}) save(folder, step);
  }
  fs::create_directory(out / "step-by-step"); // somebody else's
  run_folder again(out.path(), 2);            // gone on with from step 3
  save(again, 4);
  CHECK(names(out.path()) == strings{"step-000003", "step-000004", "step-by-step", "last", "lock"});
  CHECK(fs::read_symlink(out / "last") == "step-000004");
  CHECK(fs::exists(out / "last" / "model.safetensors"));
}

TEST_CASE("what a killed process left half written goes and what a live one writes stays",
          "[trainer]") {
  scratch_folder out;
  const auto live = "train.conf.tmp-" + std::to_string(::getppid()) + "-0";
  for (const auto& name : {"step-000004.tmp-4194999-0", "reference.tmp-4194999-1"}) {
    fs::create_directory(out / name);
    out.write((std::string(name) + "/model.safetensors").c_str(), "half");
  }
  for (const auto& name :
       {std::string("train.conf.tmp-4194999-7"), live, std::string("notes.tmp-4194999-1")})
    out.write(name.c_str(), "x");
  const run_folder folder(out.path(), 2);
  CHECK(names(out.path()) == strings{live, "notes.tmp-4194999-1", "lock"});
}

TEST_CASE("a folder is one run's alone until that run ends", "[trainer]") {
  scratch_folder out;
  {
    const run_folder folder(out.path(), 2);
    out.write("step-000004.tmp-4194999-0", "half"); // not to be cleared by the one that is refused
    CHECK_THROWS_WITH(
        run_folder(out.path(), 2),
        Catch::StartsWith(out.path().string() + ": another run or a banyand uses it; "));
    CHECK(fs::exists(out / "step-000004.tmp-4194999-0"));
  }
  CHECK_NOTHROW(run_folder(out.path(), 2));
}

TEST_CASE("the checkpoints of a folder are told in the order of their steps", "[trainer]") {
  scratch_folder out;
  CHECK(checkpoints_left(out.path()) == "no checkpoint is left there");
  run_folder folder(out.path(), 9);
  save(folder, 1000000);
  CHECK(checkpoints_left(out.path()) == "step-1000000 is still there");
  for (const auto* name : {"step-000020", "step-000003"}) fs::create_directory(out / name);
  CHECK(checkpoints_left(out.path())
        == "step-000003, step-000020 and step-1000000 are still there");
}

TEST_CASE("a folder with any part of a run holds a run", "[trainer]") {
  scratch_folder out;
  CHECK_FALSE(holds_run(out / "none"));
  out.write("log.jsonl", "");
  fs::create_directory(out / "reference");
  fs::create_directory(out / "step-000004.tmp-4194999-0");
  CHECK_FALSE(holds_run(out.path()));
  out.write("log.jsonl", "{}\n");
  CHECK(holds_run(out.path()));
  out.write("log.jsonl", "");
  fs::create_directory(out / "step-000004");
  CHECK(holds_run(out.path()));
  fs::remove(out / "step-000004");
  fs::create_directory_symlink("gone", out / "last");
  CHECK(holds_run(out.path()));
  fs::remove(out / "last");
  fs::create_directory(out / "last");
  CHECK(holds_run(out.path()));
}
