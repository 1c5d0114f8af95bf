#include "apps/json_list.hpp"
#include "apps/problem_file.hpp"
#include "apps/published.hpp"
#include "apps/trace_file.hpp"
#include "solver/record_file.hpp"
#include "tests/complaint.hpp"
#include "tests/scratch_folder.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

// Demonstrations and problems in the layout that others publish theirs in.

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

tree spawning_demonstration(const problem& p = {{42, 61, 66}, 47}) {
  search_options search;
  search.beam_low = search.beam_high = search.sub_beam_low = search.sub_beam_high = 15;
  search.spawn_probability = 1;
  return demonstrate(p, search, 0);
}

TEST_CASE("a published problem carries a solution that holds", "[apps]") {
  const problem p{{42, 61, 66}, 47};
  const auto j = json::parse(problem_json(p));
  CHECK(j["nums"] == json(p.numbers));
  CHECK(j["start_size"] == 3);
  std::vector<operation> steps;
  for (const auto& step : j["solution"]) steps.push_back(*parse_operation(step.get<std::string>()));
  CHECK_FALSE(refute(p, steps));
  const auto path = j["optimal_path"].get<std::string>();
  CHECK(path.starts_with("Current State: 47:[42, 61, 66], Operations: []\nExploring Operation: "));
  CHECK(path.ends_with("47,47 equal: Goal Reached\n"));
}

TEST_CASE("duplicate numbers are used up one by one in the optimal path", "[apps]") {
  const auto path = json::parse(problem_json({{5, 5, 5}, 50}))["optimal_path"].get<std::string>();
  CHECK(path.find("Resulting Numbers: [50]\n") != std::string::npos);
}

TEST_CASE("a demonstration reads back from the published layout", "[apps]") {
  const auto t = spawning_demonstration();
  REQUIRE(t.threads.size() > 1);
  const auto back = parse_traces(trace_json(t, {}, 0), "t");
  REQUIRE(back.size() == 1);
  CHECK(back[0].problem == t.problem);
  REQUIRE(back[0].threads.size() == t.threads.size());
  for (std::size_t i = 0; i < t.threads.size(); ++i) {
    const auto& one = t.threads[i];
    const auto* other = back[0].find(one.path);
    REQUIRE(other);
    REQUIRE(other->segments.size() == one.segments.size());
    for (std::size_t k = 0; k < one.segments.size(); ++k) {
      CHECK(other->segments[k].kind == one.segments[k].kind);
      CHECK(other->segments[k].text == one.segments[k].text);
    }
  }
}

TEST_CASE("each main call goes on where the one before spawned", "[apps]") {
  const auto t = spawning_demonstration();
  const auto j = json::parse(trace_json(t, {}, 0));
  const auto calls = j["trace_dict"]["main_calls"].get<std::vector<std::string>>();
  REQUIRE(calls.size() == 2);
  const auto spawn = calls[0].find("<Calling Sub Searches>");
  REQUIRE(spawn != std::string::npos);
  CHECK(calls[1].starts_with(calls[0].substr(0, spawn) + "<Sub Searches>\n"));
  CHECK(j["search_path"] == calls[1]);
  CHECK(j["trace_dict"]["sub_calls"][0].size() == t.threads.size() - 1);
  CHECK(j["sub_call_count"] == t.threads.size() - 1);
}

TEST_CASE("what is no demonstration is told with its place", "[apps]") {
  const auto wrong = [](const std::string& text) {
    return complaint([&] { parse_traces(text, "t"); });
  };
  CHECK(wrong("{\"nums\": [1, 2]}").starts_with("t: line 1: not a demonstration: "));
  CHECK(wrong(R"([{"nums": [1, 2], "target": 3, "search_path": "hello"}])")
        == "t: element 1: a text does not begin with a state; take a file that `banyan generate "
           "traces` or the reference wrote");
  CHECK(wrong(R"([{"nums": [1, 2], "target": 3,
                   "trace_dict": {"main_calls": [], "sub_calls": []}}])")
            .starts_with("t: element 1: a thread has no text"));
}

TEST_CASE("held out problems are left out of demonstrations from files", "[apps]") {
  const scratch_folder folder;
  const problem kept{{42, 61, 66}, 47}, hidden{{25, 7, 3}, 54};
  folder.write("a.trees", encode_record(spawning_demonstration(hidden))
                              + encode_record(spawning_demonstration(kept)));
  const problem_set held_out{canonical({{3, 25, 7}, 54})};
  const auto trees = read_traces({(folder / "a.trees").string()}, held_out);
  REQUIRE(trees.size() == 1);
  CHECK(trees[0].problem == kept);
  const problem_set everything{canonical(kept), canonical(hidden)};
  CHECK_THROWS_AS(read_traces({(folder / "a.trees").string()}, everything), bad_usage);
}

} // namespace
} // namespace banyan
