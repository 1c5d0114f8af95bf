#include "apps/failure.hpp"
#include "apps/interrupt.hpp"
#include "apps/json.hpp"
#include "apps/json_list.hpp"
#include "apps/line_sink.hpp"
#include "apps/model_choice.hpp"
#include "apps/problem_file.hpp"
#include "apps/terminal.hpp"
#include "apps/tree_view.hpp"
#include "tests/complaint.hpp"
#include "tests/other_process.hpp"
#include "tests/scratch_folder.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

// ---- problem files

TEST_CASE("a problem file is an array or has a problem a line", "[apps]") {
  const auto array = parse_problems(R"([{"nums": [3, 5, 7], "target": 22, "solution": []},
                         {"numbers": [1, 2], "target": 12}])",
                                    "p");
  REQUIRE(array.size() == 2);
  CHECK(array[0].value == problem{{3, 5, 7}, 22});
  CHECK(array[1].value == problem{{1, 2}, 12});
  CHECK(array[1].where == "p: element 2");
  const auto lines = parse_problems("\n{\"nums\": [3, 5], \"target\": 15}\r\n\n"
                                    "{\"numbers\": [4, 5], \"target\": 20}",
                                    "p");
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].value == problem{{4, 5}, 20});
  CHECK(lines[1].where == "p: line 4");
}

TEST_CASE("a bad problem is told with its line or element", "[apps]") {
  const auto wrong = [](const std::string& text) {
    return complaint([&] { parse_problems(text, "p"); });
  };
  const std::string good = "{\"nums\": [3, 5], \"target\": 15}\n";
  CHECK(wrong(good + "{\"nums\": [3, 5]}").starts_with("p: line 2: `target` is missing; write it"));
  CHECK(wrong(good + "{\"target\": 5}").starts_with("p: line 2: the list `numbers` is missing"));
  CHECK(wrong(good + "[3, 5]").starts_with("p: line 2: it is not a JSON object"));
  CHECK(wrong(good + "{\"nums\": [3").starts_with("p: line 2: not JSON: "));
  CHECK(wrong(R"([{"nums": [3, 5.5], "target": 15}])")
            .starts_with("p: element 1: an entry of `numbers` is not a whole number"));
  CHECK(wrong(R"([{"nums": [3, 18446744073709551615], "target": 15}])")
            .starts_with("p: element 1: an entry of `numbers` is too large"));
  CHECK(wrong(R"([{"nums": [3, 5], "numbers": [5, 3], "target": 15}])")
            .starts_with("p: element 1: `numbers` and `nums` are not the same"));
  CHECK(wrong(R"([{"nums": [3], "target": 3}])").starts_with("p: element 1: "));
  CHECK(wrong(R"([{"nums": [-3, 4], "target": 3}])").starts_with("p: element 1: "));
  CHECK(wrong("[{]").starts_with("p: not JSON: "));
  CHECK(wrong("").starts_with("p: there is no problem in it"));
  CHECK(wrong("[]").starts_with("p: there is no problem in it"));
}

TEST_CASE("a file that cannot be read is the environment's fault", "[apps]") {
  const scratch_folder folder;
  CHECK_THROWS_AS(read_problems(folder / "nowhere.json"), bad_environment);
  CHECK_THROWS_AS(read_problems(folder.path()), bad_environment);
}

TEST_CASE("an empty file is read as an empty text", "[apps]") {
  const scratch_folder folder;
  folder.write("empty", "");
  CHECK(read_text(folder / "empty").empty());
}

// ---- the model's range

TEST_CASE("a model knows the problems it was trained for", "[apps]") {
  const task_range range{{3}, 1, 99, 10, 100};
  CHECK_FALSE(range.misses({{1, 50, 99}, 100}));
  CHECK(range.misses({{1, 2}, 10}) == "it has 2 numbers, and the model knows problems with 3");
  CHECK(range.misses({{1, 2, 100}, 10})
        == "the number 100 is outside of 1..99, where the model was trained");
  CHECK(range.misses({{1, 2, 3}, 9})
        == "the target 9 is outside of 10..100, where the model was trained");
}

TEST_CASE("the best shipped model is the narrowest that knows all problems", "[apps]") {
  const scratch_folder folder;
  for (const auto& [name, numbers] :
       {std::pair<std::string, std::vector<int>>{"both", {3, 4}}, {"four", {4}}, {"three", {3}}}) {
    std::filesystem::create_directory(folder.path() / name);
    folder.write((name + "/config.json").c_str(), "{}");
    folder.write((name + "/banyan.json").c_str(), to_json({numbers, 1, 99, 10, 100}));
  }
  const auto choose = [&](std::vector<problem> problems) {
    std::vector<listed_problem> listed;
    for (auto& p : problems) listed.push_back({p, "here"});
    return choose_model({}, listed, {folder / "nowhere", folder.path()}).folder.filename();
  };
  const problem three{{1, 2, 3}, 10}, four{{1, 2, 3, 4}, 24};
  CHECK(choose({three}) == "three");
  CHECK(choose({four}) == "four");
  CHECK(choose({three, four}) == "both");
  const auto refusal = [&](std::vector<problem> problems) {
    return complaint([&] { choose(std::move(problems)); });
  };
  CHECK_THAT(refusal({{{1, 2}, 12}}),
             Catch::Contains("it has 2 numbers") && Catch::Contains("with 3 or 4"));
  CHECK_THAT(refusal({{{1, 2, 3}, 9}}), Catch::Contains("the target 9 is outside of 10..100"));
  std::filesystem::remove_all(folder / "both");
  CHECK_THAT(refusal({three, four}), Catch::Contains("no shipped model knows both")
                                         && Catch::Contains("/four knows this one"));
  CHECK_THROWS_AS(choose_model({}, {}, {folder / "nowhere"}), bad_environment);
}

// ---- JSON

tree solved_tree() {
  tree t;
  t.id = "01J9";
  t.problem = {{25, 7, 3}, 54};
  t.prompt = "Moving to Node #0\n";
  t.phase = tree_phase::done;
  t.created_ms = 1795426200123;
  t.finished_ms = t.created_ms + 250;
  t.outcome = {true, true, {"25-7=18", "18*3=54"}, "path\n"};
  auto& root = t.add("/");
  root.phase = thread_phase::done;
  root.solution = "path\n";
  root.segments = {{segment_kind::prompt, "given\n", {1, 2}, {}, {}},
                   {segment_kind::written, "made\n", {3, 4, 5}, {-1, -1, -1}, {0, 0, 0}}};
  t.add("/0").failure = errc::no_solution;
  return t;
}

TEST_CASE("solve prints the published object", "[apps]") {
  const auto j = json::parse(solve_json(solved_tree()));
  std::vector<std::string> keys;
  for (const auto& [key, value] : j.items()) keys.push_back(key);
  CHECK(keys
        == std::vector<std::string>{"problem", "solved", "claimed", "operations", "solution",
                                    "failure", "usage"});
  CHECK(j["problem"].dump() == R"({"numbers":[25,7,3],"target":54})");
  CHECK(j["operations"] == json::array({"25-7=18", "18*3=54"}));
  CHECK(j["failure"].is_null());
  CHECK(j["usage"]["threads"] == 2);
  CHECK(j["usage"]["generated_tokens"] == 3);
  CHECK(j["usage"]["critical_path_tokens"] == 3);
}

TEST_CASE("a tree without a claim has no solution and its failure's name", "[apps]") {
  auto t = solved_tree();
  t.outcome = {};
  t.failure = errc::context_full;
  const auto j = json::parse(solve_json(t));
  CHECK(j["solution"].is_null());
  CHECK(j["operations"] == json::array());
  CHECK(j["failure"] == "context_full");
}

TEST_CASE("a tree is written with its threads", "[apps]") {
  const auto j = json::parse(tree_json(solved_tree()));
  CHECK(j["created"] == "2026-11-23T09:30:00.123Z");
  CHECK(j["state"] == "done");
  CHECK(j["outcome"]["solved"] == true);
  REQUIRE(j["threads"].size() == 2);
  CHECK(j["threads"][0]["parent"].is_null());
  CHECK(j["threads"][0]["text"] == "given\nmade\n");
  CHECK(j["threads"][1]["parent"] == "/");
  CHECK(j["threads"][1]["failure"] == "no_solution");
  CHECK(j["threads"][1]["solution"].is_null());
}

TEST_CASE("a list of trees leaves texts out", "[apps]") {
  const auto j = json::parse(tree_json(solved_tree(), false));
  CHECK_FALSE(j["threads"][0].contains("text"));
  CHECK_FALSE(j["threads"][0].contains("solution"));
}

TEST_CASE("an unfinished tree has no outcome yet", "[apps]") {
  auto t = solved_tree();
  t.finished_ms = 0;
  const auto j = json::parse(tree_json(t));
  CHECK(j["outcome"].is_null());
  CHECK(j["finished"].is_null());
}

TEST_CASE("bytes that are no text do not break the output", "[apps]") {
  auto t = solved_tree();
  t.outcome.solution = "\xff\xfe";
  CHECK_NOTHROW(json::parse(solve_json(t)));
}

// ---- files

TEST_CASE("a file that is not committed leaves the earlier one", "[apps]") {
  const scratch_folder folder;
  folder.write("a", "old");
  {
    line_sink out(folder / "a");
    out.write("new");
  }
  CHECK(folder.read("a") == "old");
  line_sink out(folder / "a");
  out.write("new");
  out.commit();
  CHECK(folder.read("a") == "new");
}

TEST_CASE("a symbolic link stays and what it leads to is replaced", "[apps]") {
  const scratch_folder folder;
  std::filesystem::create_symlink("b", folder / "a");
  for (const auto* text : {"new", "newer"}) { // at first there is nothing behind it
    line_sink out(folder / "a");
    out.write(text);
    out.commit();
    CHECK(std::filesystem::is_symlink(folder / "a"));
    CHECK(folder.read("b") == text);
  }
}

TEST_CASE("a link that leads to itself is refused", "[apps]") {
  const scratch_folder folder;
  std::filesystem::create_symlink("a", folder / "a");
  CHECK_THROWS_AS(line_sink(folder / "a"), std::system_error);
  CHECK(std::filesystem::is_symlink(folder / "a"));
}

TEST_CASE("a device file is written to and not replaced", "[apps]") {
  line_sink out("/dev/null");
  out.write("nothing");
  out.commit();
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

// ---- what people see

tree growing_tree() {
  tree t;
  t.id = "t";
  t.add("/").phase = thread_phase::waiting;
  for (int i = 0; i < 11; ++i) {
    auto& child = t.add(child_path("/", static_cast<std::uint32_t>(i)));
    child.phase = thread_phase::decoding;
    child.depth = 1;
  }
  t.find("/")->waiting_for = {"/2", "/10"};
  t.find("/2")->segments = {{segment_kind::prompt, "a\nb\nlast line\n", {}, {}, {}}};
  return t;
}

TEST_CASE("threads are drawn under their parent in the order of their numbers", "[apps]") {
  const auto lines = tree_lines(growing_tree(), {{"/2", 17}}, false, 200);
  REQUIRE(lines.size() == 12);
  CHECK(lines[0].starts_with("/ "));
  CHECK(lines[0].ends_with("waits for /2 /10"));
  CHECK(lines[3].starts_with("  /2 "));
  CHECK(lines[3].find(" 17 tokens") != std::string::npos);
  CHECK(lines[3].ends_with("last line"));
  CHECK(lines[11].starts_with("  /10 "));
}

TEST_CASE("lines are cut to the terminal before they are coloured", "[apps]") {
  for (const auto& line : tree_lines(growing_tree(), {}, false, 20)) CHECK(line.size() <= 20);
  for (const auto& line : tree_lines(growing_tree(), {}, true, 20))
    CHECK(line.ends_with("\033[0m"));
}

TEST_CASE("each event of a tree is told once", "[apps]") {
  auto t = growing_tree();
  tree_events events;
  CHECK(events.news(t).size() == 12);
  CHECK(events.news(t).empty());
  t.find("/2")->phase = thread_phase::done;
  t.find("/2")->solution = "path";
  CHECK(events.news(t) == std::vector<std::string>{"/2 solved, 0 tokens"});
  t.find("/")->waiting_for.clear();
  CHECK(events.news(t) == std::vector<std::string>{"/ joined 11 children"});
  CHECK(events.news(t).empty());
}

TEST_CASE("a finished tree tells everything that was not seen before", "[apps]") {
  const auto lines = tree_events().news(solved_tree());
  CHECK(lines.front() == "/ started");
  CHECK(lines.back() == "/ solved, 3 tokens");
}

TEST_CASE("cutting a text keeps its characters whole", "[apps]") {
  CHECK(fit("abc", 2) == "ab");
  CHECK(fit("äöü", 2) == "äö");
  CHECK(fit("äöü", 9) == "äöü");
}

TEST_CASE("a text that is cut says so and is cut between words", "[apps]") {
  CHECK(fit("2 running, 1234 queued", 22) == "2 running, 1234 queued");
  CHECK(fit("2 running, 1234 queued", 17) == "2 running, ...");
  CHECK(fit("2 running, 1234 queued", 21) == "2 running, 1234 ...");
  CHECK(fit("http://127.0.0.1:8427/äöü", 20) == "http://127.0.0.1:...");
}

TEST_CASE("durations and large numbers are short", "[apps]") {
  CHECK(duration_text(59.9) == "0:59");
  CHECK(duration_text(3723) == "1:02:03");
  CHECK(short_number(950) == "950");
  CHECK(short_number(12345) == "12.3k");
  CHECK(short_number(4560000) == "4.56M");
  CHECK(bar(0.5, 4) == "[##..]");
}

TEST_CASE("what a signal is to end at once it ends also where it came before", "[apps]") {
  process early([] {
    catch_interrupts();
    std::raise(SIGINT);
    const ends_at_once nothing_begun;
  });
  CHECK(early.code() == 130);
}

} // namespace
} // namespace banyan
