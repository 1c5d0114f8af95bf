#include "apps/decoding_options.hpp"
#include "apps/options.hpp"
#include "apps/rl_options.hpp"
#include "apps/train_options.hpp"
#include "tests/complaint.hpp"
#include "tests/scratch_folder.hpp"

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using words = std::vector<std::string>;

/// A small command with one option of each kind.
struct small_command {
  std::int64_t steps = 10;
  double share_of = 0.5;
  bool fast = false;
  std::string name;
  int low = 1, high = 4;
  std::vector<std::string> files, rest;
  join_policy::kind kind = join_policy::kind::all;
  option_list list{"small", "[options]", "A command.", "  banyan small\n"};

  small_command() {
    list.number("steps", steps, "how many", positive);
    list.number("share", share_of, "how much", share);
    list.flag("fast", fast, "do not wait");
    list.text("name", name, "TEXT", "who");
    list.range("beam", low, high, "how wide");
    list.texts("file", files, "FILE", "what");
    list.choice("kind", kind,
                {{"all", join_policy::kind::all}, {"first", join_policy::kind::first_success}},
                "which");
    list.retired({"speed"});
  }

  void parse(const words& given) { list.parse(given); }
};

/// What a `bad_usage` says; empty if nothing was thrown.
std::string complaint_about(const words& given) {
  small_command command;
  return complaint([&] { command.parse(given); });
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file) << text;
}

TEST_CASE("each kind of option is read into its field", "[apps]") {
  small_command c;
  c.parse({"--steps", "7", "--share=0.25", "--fast", "--name", "a b", "--beam", "2:9", "--file",
           "x", "--file", "y", "--kind", "first"});
  CHECK(c.steps == 7);
  CHECK(c.share_of == 0.25);
  CHECK(c.fast);
  CHECK(c.name == "a b");
  CHECK(c.low == 2);
  CHECK(c.high == 9);
  CHECK(c.files == words{"x", "y"});
  CHECK(c.kind == join_policy::kind::first_success);
}

TEST_CASE("an unknown option is told with the nearest one", "[apps]") {
  CHECK(complaint_about({"--stpes", "3"})
        == "--stpes: there is no such option; did you mean --steps?");
  CHECK(complaint_about({"--wonderful"})
        == "--wonderful: there is no such option; `banyan small --help` lists them");
}

TEST_CASE("names are not guessed from their beginnings", "[apps]") {
  CHECK(complaint_about({"--ste", "3"}).starts_with("--ste: there is no such option"));
}

TEST_CASE("values of a wrong type or size are told with what is expected", "[apps]") {
  CHECK(complaint_about({"--steps", "abc"})
        == "--steps: 'abc' does not fit; give a whole number from 1");
  CHECK(complaint_about({"--steps", "0"}) != "");
  CHECK(complaint_about({"--steps", "3.5"}) != "");
  CHECK(complaint_about({"--steps", "-5"})
        == "--steps: '-5' does not fit; give a whole number from 1");
  CHECK(complaint_about({"--steps", "99999999999999999999"}) != "");
  CHECK(complaint_about({"--share", "1.01"})
        == "--share: '1.01' does not fit; give a number from 0 to 1");
  CHECK(complaint_about({"--share", "nan"}) != "");
  CHECK(complaint_about({"--beam", "9:2"}) != "");
  CHECK(complaint_about({"--beam", "0:2"}) != "");
  CHECK(complaint_about({"--kind", "some"})
        == "--kind: 'some' does not fit; give one of all, first");
  CHECK(complaint_about({"--fast=perhaps"}) != "");
}

TEST_CASE("numbers have an end", "[apps]") {
  double weight = 1;
  option_list list("small", "[options]", "A command.", "  banyan small\n");
  list.number("kl", weight, "of the distance", not_negative);
  list.number("shift", weight, "of anything");
  for (const auto* name : {"--kl", "--shift"})
    for (const auto* endless : {"inf", "-inf", "infinity", "nan", "1e999"})
      CHECK(complaint([&] { list.parse(words{name, endless}); }) != "");
  CHECK(weight == 1);
}

TEST_CASE("a missing value is not taken from the next option", "[apps]") {
  CHECK(complaint_about({"--steps", "--fast"})
        == "--steps: the value is missing; give a whole number from 1");
  CHECK(complaint_about({"--name"}).starts_with("--name: the value is missing"));
}

TEST_CASE("a flag does not take the next word for its value", "[apps]") {
  small_command c;
  c.list.positional(c.rest);
  c.parse({"--fast", "25", "7"});
  CHECK(c.fast);
  CHECK(c.rest == words{"25", "7"});
}

TEST_CASE("words without a name are refused where none are expected", "[apps]") {
  CHECK(complaint_about({"25"}).starts_with("'25': nothing is expected here"));
}

TEST_CASE("an option that is no list stands once", "[apps]") {
  CHECK(complaint_about({"--steps", "3", "--steps", "4"})
        == "--steps: it stands there twice; give it once");
}

TEST_CASE("the command line counts more than the config file", "[apps]") {
  const scratch_folder folder;
  write(folder / "c.conf", "steps = 3\nname = from the file\n# a comment\nfast = true\n");
  small_command c;
  c.parse({"--steps", "7"});
  c.list.read_config(folder / "c.conf");
  CHECK(c.steps == 7);
  CHECK(c.name == "from the file");
  CHECK(c.fast);
}

TEST_CASE("a config file may have options of earlier versions, a command line may not", "[apps]") {
  small_command c;
  c.list.read_config_text("speed = 3\nsteps = 7\nspeed = 4\n", "old.conf");
  CHECK(c.steps == 7);
  CHECK(complaint_about({"--speed", "3"}) != "");
  train_rl_options o;
  CHECK_NOTHROW(declare(o).read_config_text("make-up = needed\n", "train.conf"));
}

TEST_CASE("what is wrong in a config file is told with the file", "[apps]") {
  const scratch_folder folder;
  const auto file = (folder / "c.conf").string();
  const auto wrong = [&](const std::string& text) {
    write(file, text);
    small_command c;
    return complaint([&] { c.list.read_config(file); });
  };
  CHECK(wrong("\n# a comment\nstepz = 3\n")
        == file + ": line 3: stepz: there is no such option; did you mean steps?");
  CHECK(wrong("steps = many\n")
        == file + ": line 1: steps: 'many' does not fit; give a whole number from 1");
  CHECK(wrong("steps\n")
        == file + ": line 1: 'steps' says nothing; write lines of the form name = value");
  CHECK(wrong("name = a\n[slove]\n")
        == file
               + ": line 2: there is no command 'slove'; name a section after a command, as in "
                 "[train sft]");
  CHECK(wrong(std::string("name = a\0b\n", 11))
        == file + ": line 1: a character in it cannot be seen; write plain text");
  CHECK(wrong("steps = 3\nname = a\nsteps = 3\n")
        == file + ": line 3: steps: it stands there twice; give it once");
  CHECK(wrong("name = a\tb # \x1b[31m\r\n").empty());
  small_command c;
  CHECK_THROWS_AS(c.list.read_config(folder / "nowhere.conf"), bad_environment);
}

/// A command of whom a config file may speak.
struct training_like {
  std::int64_t steps = 10;
  std::string model;
  std::vector<std::string> exclude;
  option_list list{"train sft", "", "", ""};

  training_like() {
    list.number("steps", steps, "how many", positive);
    list.text("model", model, "DIR", "which");
    list.texts("exclude", exclude, "FILE", "what");
  }
};

constexpr auto of_all = option_list::general_lines::of_all;

TEST_CASE("a section is for its command alone and counts more than general lines", "[apps]") {
  const scratch_folder folder;
  write(folder / "c.conf", "model = general\nexclude = a\nexclude = b\n"
                           "[train sft]\nmodel = own\nexclude = c\nexclude = d # of the run\n"
                           "[solve]\nmodel = another's\nnonsense = 1\n");
  training_like c;
  c.list.read_config(folder / "c.conf");
  CHECK(c.model == "own");
  CHECK(c.exclude == words{"c", "d"});
  training_like given;
  given.list.parse(words{"--model", "line", "--exclude", "e"});
  given.list.read_config(folder / "c.conf");
  CHECK(given.model == "line");
  CHECK(given.exclude == words{"e"});
}

TEST_CASE("general lines of all commands are for those that know them", "[apps]") {
  const scratch_folder folder;
  const auto file = (folder / "c.conf").string();
  write(file, "model = general\ntemperature = 0.5\nlisten = 127.0.0.1:9\n");
  training_like c;
  c.list.read_config(file, of_all);
  CHECK(c.model == "general");
  // A file that was asked for must be about this command.
  CHECK(complaint([&] {
          training_like().list.read_config(file);
        }).starts_with(file + ": line 2: temperature: there is no such option"));
  write(file, "model = general\ntemprature = 0.5\n");
  CHECK(complaint([&] { training_like().list.read_config(file, of_all); })
        == file + ": line 2: temprature: no command has such an option; did you mean temperature?");
}

TEST_CASE("general lines are not for a command that knows an option only to refuse it", "[apps]") {
  const scratch_folder folder;
  const auto file = (folder / "c.conf").string();
  double chance = 0;
  option_list list("train rl", "", "", "");
  list.number("top-p", chance, "", share).not_shown({"top-p"});
  write(file, "top-p = 0.5\n");
  list.read_config(file, of_all);
  CHECK(chance == 0);
  list.read_config(file); // asked for
  CHECK(chance == 0.5);
}

TEST_CASE("the user's config file is where the desktop's convention has it", "[apps]") {
  struct variable {
    std::string name, before;
    explicit variable(const char* n) : name(n) {
      if (const auto* value = std::getenv(n)) before = value;
    }
    ~variable() {
      ::unsetenv(name.c_str());
      if (!before.empty()) set(before);
    }
    void set(const std::string& value) const { ::setenv(name.c_str(), value.c_str(), 1); }
  } const home("HOME"), config("XDG_CONFIG_HOME");
  const scratch_folder folder;
  home.set(folder.path().string());
  ::unsetenv("XDG_CONFIG_HOME");
  CHECK(user_config() == folder.path() / ".config/banyan/banyan.conf");
  config.set("relative");
  CHECK(user_config() == folder.path() / ".config/banyan/banyan.conf");
  config.set((folder / "c").string());
  CHECK(user_config() == folder.path() / "c/banyan/banyan.conf");

  training_like c;
  common_options common;
  read_config(c.list, common); // it is not there: nothing happens
  std::filesystem::create_directories(folder / "c/banyan");
  write(user_config(), "steps = 3\ntemperature = 1\n");
  read_config(c.list, common);
  CHECK(c.steps == 3);
  training_like asked;
  write(folder / "other.conf", "steps = 4\n");
  common.config = folder / "other.conf";
  read_config(asked.list, common);
  CHECK(asked.steps == 4);
}

TEST_CASE("the resolved config reads back to the same values", "[apps]") {
  const scratch_folder folder;
  small_command first, second;
  first.parse({"--steps", "7", "--share", "0.1", "--beam", "3:5", "--file", "x", "--file", "y"});
  write(folder / "c.conf", first.list.config());
  second.list.read_config(folder / "c.conf");
  CHECK(second.list.config() == first.list.config());
  CHECK(second.share_of == first.share_of);
  CHECK(second.files == first.files);
}

TEST_CASE("a value that a config file cannot hold is refused", "[apps]") {
  small_command c;
  c.parse({"--name", "runs/#1"});
  CHECK(complaint([&] { c.list.config(); }).starts_with("--name: 'runs/#1' cannot stand"));
}

TEST_CASE("a config says that a text was emptied", "[apps]") {
  const scratch_folder folder;
  const auto small = [](std::string& label) {
    option_list list{"train sft", {}, {}, {}};
    list.text("label", label, "NAME", "");
    return list;
  };
  std::string first = "none", second = "none";
  const auto list = small(first);
  first.clear();
  write(folder / "c.conf", list.config());
  small(second).read_config(folder / "c.conf");
  CHECK(second.empty());
}

TEST_CASE("what has no default says none in the help and in the resolved config", "[apps]") {
  std::int64_t count = 0;
  std::optional<bool> color;
  option_list list("small", {}, {}, {});
  list.number("count", count, "how many", positive);
  list.choice("color", color, {{"on", true}, {"off", false}}, "as the terminal has it");
  CHECK(list.help().find("(=") == std::string::npos);
  CHECK(list.config().empty());
  list.parse(words{"--count", "3", "--color", "off"});
  CHECK(color == false);
  CHECK(list.config() == "# Options\ncount = 3\ncolor = off\n");
}

TEST_CASE("the help names every option with its default", "[apps]") {
  const auto text = small_command().list.help();
  for (const auto* part : {"--steps N (=10)", "--share X (=0.5)", "--fast", "--beam LO:HI (=1:4)",
                           "--kind all|first (=all)", "Examples:\n  banyan small"})
    CHECK(text.find(part) != std::string::npos);
}

} // namespace
} // namespace banyan
