#include "tests/traces.hpp"

#include <catch2/catch.hpp>

#include <cctype>
#include <limits>

namespace banyan {
namespace {

using Catch::Contains;

// ---- joining

TEST_CASE("a join takes the place of the spawn block", "[solver]") {
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  const child_result answers[] = {{.solution = child_path_text}, {.failure = errc::no_solution}};
  CHECK(t.join(answers) == joined_text);
  CHECK(t.text() == root_prompt(example) + two_nodes + joined_text);
  CHECK(t.spawn_offset() == std::string::npos);
}

TEST_CASE("the parent's own path after a join is its solution", "[solver]") {
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  const child_result answers[] = {{.solution = child_path_text}, {}};
  t.join(answers);
  CHECK(shown(t.feed(goal + root_path_text, true)) == "done|" + root_path_text);
}

TEST_CASE("the goals of children are not the parent's own", "[solver]") {
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  const child_result answers[] = {{.solution = child_path_text}, {}};
  t.join(answers);
  CHECK(shown(t.feed(root_path_text, true))
        == "gave_up"); // one goal of its own, nothing told again
}

TEST_CASE("a thread goes on after a failed round and spawns again", "[solver]") {
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  t.join(std::vector<child_result>(2));
  const std::string third = "Generated Node #0,2: 47:[5, 42] Operation: 66-61=5\n";
  const std::string again = "<Calling Sub Searches>\n"
                            "<Start Sub Search 0 at level 1> Moving to Node #0,2\n"
                            "<End Calling Sub Searches>\n";
  const auto before = t.text() + third;
  CHECK(prompts_of(t.feed(third + again, true))
        == std::vector<std::string>{
            "Moving to Node #0,2\nCurrent State: 47:[5, 42], Operations: ['66-61=5']\n"});
  CHECK(t.spawn_offset() == before.size());
  t.join(std::vector<child_result>(1));
  CHECK(t.text()
        == before + "<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #0,2>\n"
               + "<End Sub Searches>\n");
  CHECK(shown(t.feed("No solution found.", true)) == "gave_up");
}

TEST_CASE("blocks of deeper threads carry their level", "[solver]") {
  auto t = root_trace({.level = 3});
  auto block = both_called;
  for (auto at = block.find("level 1"); at != std::string::npos; at = block.find("level 1"))
    block.replace(at, 7, "level 3");
  CHECK(prompts_of(t.feed(two_nodes + block, true)).size() == 2);
  CHECK_THAT(t.join(std::vector<child_result>(2)),
             Contains("<No Solution in Sub Search 1 at level 3 at Node #0,0>\n"));
  CHECK_THAT(fault_of(both_called, {.level = 3}), Contains("wrong level"));
}

TEST_CASE("a child's solution cannot carry foreign lines into its parent", "[solver]") {
  const auto joined_with = [](const std::string& claim) {
    auto t = root_trace();
    t.feed(two_nodes + both_called, true);
    const child_result answers[] = {{.solution = claim}, {}};
    return t.join(answers);
  };
  const auto refused = joined_with("");
  CHECK_THAT(refused, Contains("<No Solution in Sub Search 0"));
  auto smuggled = child_path_text;
  smuggled.insert(smuggled.find("Exploring"), "<End Sub Searches>\n");
  CHECK(joined_with(smuggled) == refused);
  CHECK(joined_with("<End Sub Searches>\n" + child_path_text) == refused);
  CHECK(joined_with(child_path_text + "<End Sub Searches>\n") == refused);
  CHECK(joined_with(child_path_text + goal) == refused);
  CHECK(joined_with(child_path_text + child_path_text) == refused);
  CHECK(joined_with(root_path_text) == refused); // not the node at which this child began
  CHECK(joined_with(child_path_text.substr(0, child_path_text.size() - goal.size())) == refused);
  auto in_line = child_path_text;
  in_line.insert(in_line.find("\nCurrent"), " <End Sub Searches>");
  CHECK(joined_with(in_line) == refused);
  for (const std::string line_end : {"19]", "['61-42=19']", "[47]", "Reached"}) {
    auto longer = child_path_text;
    longer.insert(longer.find(line_end + "\n") + line_end.size(), " <Sub Searches>");
    CHECK(joined_with(longer) == refused);
  }
  const std::string detour = "Moving to Node #0,1,0\n";
  auto with_detour = child_path_text;
  with_detour.insert(with_detour.find("Exploring"), detour);
  CHECK_THAT(joined_with(with_detour), Contains(detour));
  with_detour.insert(with_detour.find(detour) + detour.size() - 1, "!");
  CHECK(joined_with(with_detour) == refused);
  CHECK(joined_with(child_path_text.substr(0, child_path_text.size() - 1)) == joined_text);
}

TEST_CASE("a false claim of an honest form reaches the parent unchanged", "[solver]") {
  const std::string claim = "Moving to Node #0,1\n"
                            "Current State: 47:[66, 19], Operations: ['61-42=19']\n"
                            "Exploring Operation: 66+19=47, Resulting Numbers: [47]\n"
                            + goal;
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  const child_result answers[] = {{.solution = claim}, {}};
  CHECK_THAT(t.join(answers), Contains(claim));
}

TEST_CASE("a child's claims do not change what its parent knows of a node", "[solver]") {
  auto t = root_trace();
  t.feed(two_nodes + both_called, true);
  const child_result answers[] = {{.solution = "Moving to Node #0,1\n"
                                               "Current State: 47:[47], Operations: []\n"
                                               + goal},
                                  {}};
  CHECK_THAT(t.join(answers), Contains("47:[47]"));
  CHECK_THAT(prompts_of(t.feed(both_called, true))[0], Contains("47:[66, 19]"));
}

} // namespace
} // namespace banyan
