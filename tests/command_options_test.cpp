#include "apps/decoding_options.hpp"
#include "apps/options.hpp"
#include "apps/remedies.hpp"
#include "apps/rl_options.hpp"
#include "apps/run_config.hpp"
#include "apps/sft_options.hpp"
#include "tests/complaint.hpp"
#include "tests/scratch_folder.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using words = std::vector<std::string>;

// ---- decoding

TEST_CASE("join policies are read and written alike", "[apps]") {
  for (const std::string text : {"all", "first_success", "k_of_n:3", "deadline:0.5"}) {
    join_policy join;
    REQUIRE(read_join(text, join));
    CHECK(join_text(join) == text);
  }
  join_policy join;
  for (const std::string text : {"", "some", "all:1", "k_of_n", "k_of_n:0", "k_of_n:x", "deadline",
                                 "deadline:0", "deadline:-1", "deadline:nan"})
    CHECK_FALSE(read_join(text, join));
}

TEST_CASE("conditioning stands in front of the prompt", "[apps]") {
  decoding_options o;
  CHECK(o.request_for({{1, 2, 3}, 6}).prompt.starts_with("Moving to Node #0\n"));
  o.children = 0;
  CHECK(o.request_for({{1, 2, 3}, 6}).prompt.starts_with("Sub Call Budget: 0 Moving to"));
  o.children = 10;
  CHECK(o.request_for({{1, 2, 3}, 6}).prompt.starts_with("Sub Call Budget: 10 Moving to"));
}

// ---- training

struct training_command {
  train_sft_options options;
  option_list list = declare(options);

  bool parse(const words& given) { return banyan::parse(list, options, given); }
};

TEST_CASE("the config that a training run leaves repeats the run", "[apps]") {
  const scratch_folder folder;
  training_command first, second;
  REQUIRE(first.parse({"--out",
                       (folder / "run").string(),
                       "--steps",
                       "77",
                       "--rate",
                       "1e-3",
                       "--search",
                       "sos-dfs",
                       "--beam",
                       "2:5",
                       "--sub-beam",
                       "9",
                       "--numbers",
                       "4",
                       "--dtype",
                       "bfloat16",
                       "--tie-embeddings=false",
                       "--exclude",
                       "a.json",
                       "--exclude",
                       "b.json"}));
  folder.write("train.conf", first.list.config());
  REQUIRE(second.parse({"--config", (folder / "train.conf").string()}));
  CHECK(second.list.config() == first.list.config());
  CHECK(second.options.sft.schedule.rate == 1e-3);
  CHECK(second.options.sft.curriculum.search.kind == search_kind::sos_dfs);
  CHECK(second.options.sft.curriculum.search.sub_beam_low == 0);
  CHECK(second.options.sft.curriculum.search.sub_beam_high == 9);
  CHECK_FALSE(second.options.sft.model.tie_embeddings);
  CHECK(second.options.exclude == words{"a.json", "b.json"});
}

TEST_CASE("a serial hybrid has the beams and the coin of the literature unless they are given",
          "[apps]") {
  const auto parsed = [](words more) {
    training_command command;
    more.insert(more.begin(), {"--out", "run", "--search", "sos+"});
    REQUIRE(command.parse(more));
    return command.options.sft.curriculum.search;
  };
  const auto plain = parsed({});
  CHECK(plain.beam_low == 1);
  CHECK(plain.beam_high == 5);
  CHECK(plain.spawn_probability == 0.5);
  const auto asked = parsed({"--beam", "1:15", "--spawn-probability", "0.7"});
  CHECK(asked.beam_high == 15);
  CHECK(asked.spawn_probability == 0.7);
  training_command parallel;
  REQUIRE(parallel.parse({"--out", "run"}));
  CHECK(parallel.options.sft.curriculum.search.beam_low == 15);
}

/// The folder of a run of 50 steps.
void leave_run(const scratch_folder& folder, const std::string& config) {
  keep_run_config(folder.path(), config);
  std::filesystem::create_directory(folder / "step-000050");
  std::filesystem::create_directory_symlink("step-000050", folder / "last");
}

TEST_CASE("a resumed run takes its options from its own folder", "[apps]") {
  const scratch_folder folder;
  leave_run(folder, "hidden = 64\nsteps = 50\nout = elsewhere\n");
  training_command command;
  REQUIRE(command.parse({"--out", folder.path().string(), "--resume", "--steps", "90"}));
  CHECK(command.options.sft.model.hidden_size == 64);
  CHECK(command.options.sft.steps == 90);
  CHECK(command.options.sft.out == folder.path());
}

TEST_CASE("a run of another kind is not resumed", "[apps]") {
  const scratch_folder folder;
  train_rl_options o;
  o.rl.out = folder.path();
  const auto list = declare(o);
  leave_run(folder, resolved_config(list, o));
  const auto out = folder.path().string();
  training_command command;
  CHECK(complaint([&] {
          command.parse({"--out", out, "--resume"});
        })
        == out + ": its run is one of `banyan train rl`; go on with `banyan train rl --out " + out
               + " --resume`");
}

TEST_CASE("a resumed run keeps what it was begun from and tells what else has changed", "[apps]") {
  const scratch_folder folder;
  leave_run(folder, "steps = 50\nmodel = /m\nseed = 3\nrate = 0.25\n");
  const auto resumed = [&](words more) {
    training_command command;
    more.insert(more.end(), {"--out", folder.path().string(), "--resume"});
    const auto why = complaint([&] { command.parse(more); });
    return why.empty() ? changes_text(command.options.changed) : why;
  };
  CHECK(resumed({"--model", "/other"})
        == "--model: the run was begun with /m and cannot go on with /other; "
           "leave it out, or begin a run in another --out");
  CHECK(resumed({"--optimizer", "adamw", "--seed", "4"}).starts_with("--optimizer: "));
  CHECK(resumed({"--seed", "4"}).starts_with("--seed: the run was begun with 3"));
  CHECK(resumed({"--model", "/x/../m", "--seed", "3", "--steps", "90", "--rate", "0.5"})
        == "resumed with --rate 0.5 (was 0.25), --steps 90 (was 50)");
  folder.write("b.conf", "rate = 0.125\nseed = 3\nmodel = /m\n");
  CHECK(resumed({"--config", (folder / "b.conf").string(), "--steps", "50"})
        == "resumed with --rate 0.125 (was 0.25)");
}

TEST_CASE("steps that take the place of minutes are told with them", "[apps]") {
  const scratch_folder folder;
  leave_run(folder, "steps = 150\nminutes = 5\n");
  training_command command;
  REQUIRE(command.parse({"--out", folder.path().string(), "--resume", "--steps", "200"}));
  CHECK(changes_text(command.options.changed)
        == "resumed with --minutes 0 (was 5), --steps 200 (was 150)");
}

TEST_CASE("a config beside --resume leaves what it does not name as it was", "[apps]") {
  const scratch_folder folder;
  leave_run(folder, "steps = 50\nminutes = 0\nseed = 3\nrate = 0.25\nexclude = /held\n");
  folder.write("b.conf", "rate = 0.125\n");
  const words resume{"--out", folder.path().string(), "--resume", "--config",
                     (folder / "b.conf").string()};
  training_command command;
  REQUIRE(command.parse(resume));
  CHECK(command.options.seed == 3);
  CHECK(command.options.exclude == words{"/held"});
  CHECK(changes_text(command.options.changed) == "resumed with --rate 0.125 (was 0.25)");

  SECTION("one that is no longer whole holds it to what is left of it") {
    folder.write("train.conf", "seed = 3\nrate = 0.25\n");
    training_command cut;
    CHECK(complaint([&] { cut.parse(resume); }).starts_with("--seed: the run was begun with 3"));
    folder.write("b.conf", "seed = 3\nrate = 0.125\n");
    training_command told;
    REQUIRE(told.parse(resume));
    CHECK(changes_text(told.options.changed) == "resumed with --rate 0.125 (was 0.25)");
  }
  SECTION("steps that it asks for overrule the run's minutes") {
    keep_run_config(folder.path(), "steps = 50\nminutes = 7\n");
    folder.write("b.conf", "steps = 90\n");
    training_command longer;
    REQUIRE(longer.parse(resume));
    CHECK(longer.options.sft.minutes == 0);
    CHECK(longer.options.sft.steps == 90);
  }
  SECTION("it can say itself that the run is to be resumed") {
    folder.write("b.conf", "out = " + folder.path().string() + "\nresume = true\nseed = 9\n");
    training_command by_config;
    CHECK(complaint([&] {
            by_config.parse({"--config", (folder / "b.conf").string()});
          }).starts_with("--seed: the run was begun with 3"));
  }
}

TEST_CASE("a path keeps its meaning in the config of a run", "[apps]") {
  const scratch_folder folder;
  std::filesystem::create_directories(folder / "there/deep");
  folder.write("there/p.jsonl", "");
  std::filesystem::create_directory_symlink("there/deep", folder / "link");
  std::filesystem::create_symlink("there/p.jsonl", folder / "named");
  const auto kept = [](std::filesystem::path path) {
    make_absolute(path);
    return path;
  };
  const auto root = std::filesystem::canonical(folder.path());
  CHECK(kept(folder / "link/../p.jsonl") == root / "there/p.jsonl");
  CHECK(kept(folder / "named") == root / "named"); // what it leads to may change
  CHECK(kept(folder / "link/") == root / "link");
  CHECK(kept(folder / "link/..") == root / "there");
  CHECK(kept("").empty());
}

TEST_CASE("the folder of a model may have another name at --resume", "[apps]") {
  const scratch_folder folder;
  std::filesystem::create_directory(folder / "model");
  std::filesystem::create_directory_symlink("model", folder / "alias");
  leave_run(folder, "model = " + (folder / "model").string() + "\n");
  training_command command;
  CHECK(command.parse(
      {"--out", folder.path().string(), "--resume", "--model", (folder / "alias/").string()}));
}

TEST_CASE("weights that are there have a shape of their own", "[apps]") {
  model_config theirs;
  theirs.hidden_size = 32;
  training_command silent, same, other;
  REQUIRE(silent.parse({"--out", "run", "--model", "m"}));
  take_shape(silent.options, theirs, "m");
  CHECK(silent.list.config().find("hidden = 32\n") != std::string::npos);
  REQUIRE(same.parse({"--out", "run", "--model", "m", "--hidden", "32", "--rate", "0.5"}));
  take_shape(same.options, theirs, "m");
  REQUIRE(other.parse({"--out", "run", "--model", "m", "--hidden", "64"}));
  CHECK(complaint([&] { take_shape(other.options, theirs, "m"); })
        == "--hidden: it is 64, and 32 of the weights in m; leave it out");
}

TEST_CASE("remedies name options that training has", "[apps]") {
  train_sft_options supervised;
  train_rl_options reinforced;
  const auto help = declare(supervised).help() + declare(reinforced).help();
  for (int i = 0; i <= static_cast<int>(remedy::first_weights); ++i) {
    std::istringstream text(words_for(static_cast<remedy>(i)));
    int options = 0;
    for (std::string word; text >> word;) {
      if (!word.starts_with("--")) continue;
      ++options;
      const auto name = word.substr(0, word.find_first_of(",;"));
      INFO(name);
      CHECK(help.find("  " + name + " ") != help.npos);
    }
    CHECK(options > 0);
  }
}

TEST_CASE("the help is silent about options that the command refuses", "[apps]") {
  train_rl_options o;
  const auto list = declare(o);
  CHECK(list.help().find("--temperature") != std::string::npos);
  for (const auto* name : {"--top-k", "--top-p", "--min-p"})
    CHECK(list.help().find(name) == std::string::npos);
}

TEST_CASE("a last checkpoint that is gone is told with those that are left", "[apps]") {
  const scratch_folder folder;
  keep_run_config(folder.path(), "steps = 50\n");
  std::filesystem::create_directory_symlink("step-000050", folder / "last");
  for (const auto* left : {"step-000010", "step-000040"})
    std::filesystem::create_directory(folder / left);
  training_command command;
  CHECK_THROWS_WITH(command.parse({"--out", folder.path().string(), "--resume"}),
                    Catch::Contains("last: it leads to step-000050, which is gone; "
                                    "step-000010 and step-000040 are still there"));
}

TEST_CASE("training options that contradict each other are refused", "[apps]") {
  const auto wrong = [](words given) {
    training_command command;
    given.insert(given.end(), {"--out", "run"});
    return complaint([&] { command.parse(given); });
  };
  CHECK(wrong({"--steps", "5", "--minutes", "1"}).starts_with("--minutes: --steps is given too"));
  CHECK(wrong({"--heads", "4", "--kv-heads", "3"}).starts_with("--kv-heads: it does not divide"));
  CHECK(wrong({"--head-dim", "7"}).starts_with("--head-dim: it is odd"));
  CHECK(wrong({"--embedding-rate", "1e300"}).ends_with("give a number from 0 to 1e+30"));
  CHECK(wrong({"--evaluate-every", "5"}).starts_with("--evaluate-every: there are no problems"));
  training_command nameless;
  CHECK(complaint([&] {
          nameless.parse({});
        }).starts_with("--out: the folder of the run is missing"));
}

TEST_CASE("one seed seeds weights and data", "[apps]") {
  training_command command;
  REQUIRE(command.parse({"--out", "run", "--seed", "5"}));
  CHECK(command.options.sft.seed == 5);
  CHECK(command.options.sft.curriculum.seed == 5);
  CHECK(command.options.sft.curriculum.search.seed == 5);
}

} // namespace
} // namespace banyan
