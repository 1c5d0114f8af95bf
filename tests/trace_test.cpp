#include "solver/node_table.hpp"
#include "tests/traces.hpp"

#include <catch2/catch.hpp>

#include <cctype>
#include <limits>

namespace banyan {
namespace {

using Catch::Contains;

// ---- prompts

TEST_CASE("a root prompt is the published text", "[solver]") {
  CHECK(root_prompt(example)
        == "Moving to Node #0\nCurrent State: 47:[42, 61, 66], Operations: []\n");
  CHECK(
      root_prompt(example, {.sub_call_budget = 10}).starts_with("Sub Call Budget: 10 Moving to "));
  CHECK(root_prompt(example, {.token_budget = 2048}).starts_with("Token Budget: 2048 Moving to "));
}

TEST_CASE("every root prompt is read back as its problem", "[solver]") {
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  constexpr auto low = std::numeric_limits<std::int64_t>::min();
  for (const auto& p : {example, problem{{}, 0}, problem{{huge, low, 0}, -1}})
    for (const auto& c :
         {conditioning{}, conditioning{10, {}}, conditioning{{}, 512}, conditioning{0, -3}})
      CHECK(parse_root_prompt(root_prompt(p, c)) == p);
}

TEST_CASE("a text that is not quite a root prompt is none", "[solver]") {
  const auto text = root_prompt(example, {.sub_call_budget = 10});
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto cut = text;
    cut.erase(i, 1);
    const bool still_one = parse_root_prompt(cut).has_value(); // one digit less is another prompt
    CHECK(still_one == (std::isdigit(static_cast<unsigned char>(text[i])) && text[i - 1] != '#'));
  }
  CHECK_FALSE(parse_root_prompt(root_prompt(example) + "\n"));
  CHECK_FALSE(parse_root_prompt("Moving to Node #0\nCurrent State: 047:[1], Operations: []\n"));
  CHECK_FALSE(parse_root_prompt(
      "Moving to Node #0\nCurrent State: 99999999999999999999:[1], Operations: []\n"));
  CHECK_FALSE(parse_root_prompt("Moving to Node #0\nCurrent State: 47:[1,2], Operations: []\n"));
  CHECK_FALSE(parse_root_prompt("Moving to Node #0\nCurrent State: 47:[1, 2, Operations: []\n"));
}

TEST_CASE("the opening of every prompt says what the prompt was made of", "[solver]") {
  const auto root = root_prompt(example, {.sub_call_budget = 10, .token_budget = 512});
  const auto front = read_opening(root + "Exploring Operation: ");
  CHECK(front.asked.sub_call_budget == 10);
  CHECK(front.asked.token_budget == 512);
  CHECK(root.substr(front.prefix).starts_with("Moving to Node #0\n"));
  CHECK(front.node == "0");
  CHECK(front.state == example);
  CHECK(front.operations.empty());
  CHECK(front.size == root.size());

  const auto children = prompts_of(root_trace().feed(two_nodes + both_called, false));
  const auto child = read_opening(children.front());
  CHECK(child.node == "0,1");
  CHECK(child.state == problem{{66, 19}, 47});
  CHECK(child.operations == std::vector<std::string>{"61-42=19"});
  CHECK(child.size == children.front().size());
}

TEST_CASE("an opening is read as far as it goes", "[solver]") {
  const auto plain = root_prompt(example);
  const auto bare = read_opening(plain.substr(plain.find("Current")));
  CHECK(bare.node.empty());
  CHECK(bare.state == example);
  for (const auto* budgets : {"Sub Call Budget: x ", "Token Budget: 512", "Token Budget: x "}) {
    const auto none = read_opening(budgets + plain);
    CHECK(none.prefix == 0);
    CHECK_FALSE(none.asked.token_budget);
    CHECK(none.size == 0);
  }
  const auto cut = read_opening("Token Budget: 512 Moving to Node #0,1\nCurrent State: 47:[66");
  CHECK(cut.asked.token_budget == 512);
  CHECK(cut.prefix == 18);
  CHECK(cut.node == "0,1");
  CHECK(cut.size == 0);
  CHECK(read_opening("hello").size == 0);
  CHECK(read_opening("x" + plain).size == 0);
}

// ---- spawning

TEST_CASE("a spawn block asks for its children in its own order", "[solver]") {
  auto t = root_trace();
  CHECK(prompts_of(t.feed(two_nodes + both_called, false))
        == std::vector<std::string>{
            "Moving to Node #0,1\nCurrent State: 47:[66, 19], Operations: ['61-42=19']\n",
            "Moving to Node #0,0\nCurrent State: 47:[61, 24], Operations: ['66-42=24']\n"});
  CHECK(t.spawn_offset() == root_prompt(example).size() + two_nodes.size());
}

TEST_CASE("a spawn is said without waiting for the newline of its end line", "[solver]") {
  auto t = root_trace();
  CHECK(shown(t.feed(two_nodes + both_called.substr(0, both_called.size() - 2), false)) == "more");
  CHECK(prompts_of(t.feed(">", false)).size() == 2);
}

TEST_CASE("what a model writes after its spawn is dropped", "[solver]") {
  auto t = root_trace();
  CHECK(prompts_of(t.feed(two_nodes + both_called + "Moving to Node #0\n", true)).size() == 2);
  CHECK(t.text().ends_with("#0,0\n<End Calling Sub Searches>"));
}

TEST_CASE("two children may have the same prompt", "[solver]") {
  auto t = root_trace();
  auto prompts = prompts_of(t.feed(two_nodes
                                       + "<Calling Sub Searches>\n"
                                         "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                                         "<Start Sub Search 1 at level 1> Moving to Node #0,1\n"
                                         "<End Calling Sub Searches>\n",
                                   true));
  REQUIRE(prompts.size() == 2);
  CHECK(prompts[0] == prompts[1]);
  const child_result answers[] = {{}, {.solution = child_path_text}};
  CHECK(t.join(answers)
        == "<Sub Searches>\n"
           "<No Solution in Sub Search 0 at level 1 at Node #0,1>\n"
           "<Goal Reached in Sub Search 1 at level 1 at Node #0,1>\n"
               + child_path_text + "<End Sub Searches>\n");
}

TEST_CASE("a token budget is passed on to children and a sub call budget is not", "[solver]") {
  trace t(root_prompt(example, {.sub_call_budget = 10, .token_budget = 512}));
  auto prompts = prompts_of(t.feed(two_nodes + both_called, true));
  CHECK(prompts[0].starts_with("Token Budget: 512 Moving to Node #0,1\n"));

  trace child(prompts[0]);
  auto grandchildren = prompts_of(child.feed(
      "Generated Node #0,1,0: 47:[47] Operation: 66-19=47\n<Calling Sub Searches>\n"
      "<Start Sub Search 0 at level 1> Moving to Node #0,1,0\n<End Calling Sub Searches>",
      false));
  CHECK(grandchildren[0]
        == "Token Budget: 512 Moving to Node #0,1,0\n"
           "Current State: 47:[47], Operations: ['61-42=19', '66-19=47']\n");
}

TEST_CASE("a join block written by the model is read as a spawn block", "[solver]") {
  auto hallucinated = both_called;
  hallucinated.replace(0, std::string("<Calling Sub Searches>").size(), "<Sub Searches>");
  auto t = root_trace();
  CHECK(prompts_of(t.feed(two_nodes + hallucinated, false)).size() == 2);
  CHECK(t.text().substr(t.spawn_offset()).starts_with("<Sub Searches>\n"));
  CHECK_THAT(fault_of(joined_text), Contains("<Goal Reached in Sub Search 0"));
}

TEST_CASE("every spawn that cannot be read names what is wrong with it", "[solver]") {
  const std::string begin = "<Calling Sub Searches>\n", end = "<End Calling Sub Searches>\n";
  const std::string first = "<Start Sub Search 0 at level 1> Moving to Node #0,1\n";
  CHECK_THAT(fault_of(begin + "<Start Sub Search 0 at level 1> Moving to Node #0,7\n" + end),
             Contains("unknown node '0,7'"));
  CHECK_THAT(fault_of(begin + end), Contains("without a sub search"));
  CHECK_THAT(fault_of(begin + "<Start Sub Search 0 at level 2> Moving to Node #0,1\n" + end),
             Contains("wrong level") && Contains("level 2"));
  CHECK_THAT(fault_of(begin + "<Start Sub Search 1 at level 1> Moving to Node #0,1\n" + end),
             Contains("wrong number") && Contains("Search 1 at"));
  CHECK_THAT(fault_of(begin + first + first + end), Contains("wrong number"));
  CHECK_THAT(fault_of(begin + first + "Moving to Node #0,0\n" + end),
             Contains("not the start") && Contains("'Moving to Node #0,0'"));
  CHECK_THAT(fault_of(begin + "\n" + first + end), Contains("not the start"));
  CHECK_THAT(fault_of(begin + "<Start Sub Search 0 at level 1> Moving to Node #0,1 now\n" + end),
             Contains("not the start"));
  CHECK_THAT(fault_of("<Calling Sub Searches> now\n" + first + end), Contains("after the begin"));
  CHECK_THAT(fault_of(begin + first), Contains("not closed"));
  CHECK_THAT(fault_of(begin), Contains("not closed"));
  CHECK_THAT(fault_of(first + end), Contains("never began"));
  CHECK_THAT(fault_of(both_called, {.max_children = 1}), Contains("more than 1 sub searches"));
  CHECK(fault_of(both_called, {.max_children = 2}).empty());
}

TEST_CASE("a node with a damaged state is only a fault where a child needs it", "[solver]") {
  const auto spawn = [](const std::string& node) {
    return "Generated Node #0,2: " + node + "\n<Calling Sub Searches>\n"
           + "<Start Sub Search 0 at level 1> Moving to Node #0,2\n<End Calling Sub Searches>\n";
  };
  CHECK(fault_of(spawn("47:[5, 42] Operation: 66-61=5")).empty());
  CHECK_THAT(fault_of(spawn("47:[5, 42 Operation: 66-61=5")),
             Contains("malformed state of node '0,2'") && Contains("'47:[5, 42'"));
  CHECK_THAT(fault_of(spawn("47:[5, , 42] Operation: 66-61=5")), Contains("malformed state"));
  CHECK_THAT(fault_of(spawn("47:[5, 42]")), Contains("malformed state"));
  CHECK_THAT(fault_of(spawn("47:[5, 42], Operation: 66-61=5")), Contains("malformed state"));
  CHECK_THAT(fault_of(spawn("47:[5, 42] Operation: 66-61")),
             Contains("malformed operations of node '0,2': '66-61'"));
  CHECK_THAT(fault_of(spawn("47:[5, 42] Operation: __import__('os')")),
             Contains("malformed operations"));
  CHECK(fault_of("Generated Node #0,3: rubbish\n" + both_called).empty());
}

TEST_CASE("the reason for a refusal is printable and short whatever the model wrote", "[solver]") {
  const auto why = fault_of("<Calling Sub Searches>\n" + std::string(5000, '\xff') + "\n");
  CHECK(why.size() < 200);
  CHECK(why.find('\xff') == std::string::npos);
}

TEST_CASE("a node's operations are its parent's and its own", "[solver]") {
  node_table nodes;
  for (const auto* line :
       {"Moving to Node #0", "Current State: 9:[1, 2, 3, 4], Operations: []",
        "Generated Node #0,0: 9:[3, 4, 3] Operation: 1+2=3",
        "Generated Node #0,0,5: 9:[4, 6] Operation: 3+3=6", "Moving to Node #0,0",
        "Current State: 9:[3, 4, 3], Operations: ['1+2=3']",
        "Generated Node #7: 9:[3, 7] Operation: 4+3=7"})
    nodes.read(line);
  CHECK(std::get<std::string>(nodes.prompt("0,0,5"))
        == "Moving to Node #0,0,5\nCurrent State: 9:[4, 6], Operations: ['1+2=3', '3+3=6']\n");
  // Without a parent of its own it belongs to the node at which the thread is.
  CHECK(std::get<std::string>(nodes.prompt("7"))
        == "Moving to Node #7\nCurrent State: 9:[3, 7], Operations: ['1+2=3', '4+3=7']\n");
  CHECK(std::get<verdict::malformed>(nodes.prompt("")).why == "unknown node ''");
}

TEST_CASE("a node that nobody generated is known where it was moved to", "[solver]") {
  node_table nodes;
  for (const auto* line : {"Moving to Node #0", "Current State: 9:[1, 2], Operations: []",
                           "Generated Node #7: 9:[3] Operation: 1+2=3", "Moving to Node #8",
                           "Current State: 9:[4], Operations: ['2+2=4']]"})
    nodes.read(line);
  CHECK(std::get<std::string>(nodes.prompt("7"))
        == "Moving to Node #7\nCurrent State: 9:[3], Operations: ['1+2=3']\n");
  CHECK(std::get<verdict::malformed>(nodes.prompt("8")).why
        == "malformed operations of node '8': '['2+2=4']]'");
}

TEST_CASE("a node is known by its last description", "[solver]") {
  node_table nodes;
  for (const auto* line :
       {"Moving to Node #0", "Current State: 9:[1, 2], Operations: []",
        "Generated Node #0,0: 9:[3] Operation: 1+2=3",
        "Generated Node #0,0: 9:[2] Operation: 1*2=2",
        "Generated Node #0,0,0: 9:[2] Operation: 1*2=2", "Current State: 9:[8], Operations: []"})
    nodes.read(line);
  CHECK(std::get<std::string>(nodes.prompt("0,0"))
        == "Moving to Node #0,0\nCurrent State: 9:[2], Operations: ['1*2=2']\n");
  CHECK(
      std::get<std::string>(nodes.prompt("0")) // a state without "Moving to" before it is nobody's
      == "Moving to Node #0\nCurrent State: 9:[1, 2], Operations: []\n");
}

TEST_CASE("a chain of nodes without end is refused instead of followed", "[solver]") {
  node_table nodes;
  nodes.read("Moving to Node #0");
  nodes.read("Current State: 9:[1], Operations: []");
  std::string node = "0";
  for (int i = 0; i < 1000; ++i)
    nodes.read("Generated Node #" + (node += ",0") + ": 9:[1] Operation: 1*1=1");
  CHECK(std::holds_alternative<std::string>(nodes.prompt("0,0,0,0")));
  CHECK_THAT(std::get<verdict::malformed>(nodes.prompt(node)).why,
             Contains("malformed operations"));
}

// ---- the end of a thread

TEST_CASE("a thread is done when its path is told once more after the goal", "[solver]") {
  auto t = root_trace();
  CHECK(shown(t.feed(two_nodes + goal + root_path_text, false)) == "more");
  CHECK(shown(t.feed("", true)) == "done|" + root_path_text);
}

TEST_CASE("a goal without a restatement is no solution", "[solver]") {
  const auto ending = [](const std::string& text) { return shown(root_trace().feed(text, true)); };
  CHECK(ending(two_nodes + goal) == "gave_up");
  CHECK(ending(two_nodes + root_path_text) == "gave_up");
  CHECK(ending(two_nodes + goal + child_path_text) == "gave_up"); // from another node
  CHECK(ending(two_nodes + goal + root_path_text.substr(0, root_path_text.size() - goal.size()))
        == "gave_up");
  CHECK(ending(two_nodes + "37,47 unequal: No Solution\nNo solution found.\n") == "gave_up");
  CHECK(ending("") == "gave_up");
}

TEST_CASE("a restatement that breaks off may begin again", "[solver]") {
  auto t = root_trace();
  CHECK(shown(t.feed(goal + "Moving to Node #0\nhm\n" + root_path_text, true))
        == "done|" + root_path_text);
  auto u = root_trace();
  const auto first_half = root_path_text.substr(0, root_path_text.find("Generated"));
  CHECK(shown(u.feed(goal + first_half + root_path_text, true)) == "done|" + root_path_text);
}

TEST_CASE("the last line of a text counts without its newline", "[solver]") {
  auto t = root_trace();
  CHECK(shown(t.feed(two_nodes + goal + root_path_text.substr(0, root_path_text.size() - 1), true))
        == "done|" + root_path_text);
}

TEST_CASE("a child restates from its own start node", "[solver]") {
  trace child("Token Budget: 512 Moving to Node #0,1\n"
              "Current State: 47:[66, 19], Operations: ['61-42=19']\n");
  CHECK(shown(child.feed("Exploring Operation: 66-19=47, Resulting Numbers: [47]\n" + goal
                             + child_path_text,
                         true))
        == "done|" + child_path_text);
}

// ---- feeding

/// All that a thread says and holds when its texts are fed in pieces of `piece` bytes; each text
/// but the last ends in a spawn block, which is answered with no solutions.
std::string told_in_pieces(const std::vector<std::string>& texts, std::size_t piece) {
  auto t = root_trace();
  std::string told;
  for (const auto& text : texts) {
    trace_verdict said;
    for (std::size_t at = 0; at < text.size() && std::holds_alternative<verdict::more>(said);
         at += piece)
      said = t.feed(text.substr(at, piece), false);
    if (std::holds_alternative<verdict::more>(said)) said = t.feed("", true);
    told += shown(said) + "@" + std::to_string(t.spawn_offset()) + "\n";
    auto* spawn = std::get_if<verdict::spawn>(&said);
    if (!spawn) return told;
    told += t.text() + t.join(std::vector<child_result>(spawn->prompts.size()));
  }
  return told + t.text();
}

TEST_CASE("the size of the pieces in which a text is fed makes no difference", "[solver]") {
  const std::vector<std::vector<std::string>> threads = {
      {two_nodes + goal + root_path_text},
      {two_nodes + both_called, both_called, goal + root_path_text},
      {two_nodes + both_called + "more", "No solution found."},
      {two_nodes + "<Sub Searches>\n<Start Sub Search 0 at level 1> Moving to Node #0,1"},
      {two_nodes + "<Calling Sub Searches>\n<End Calling Sub Searches>garbage"},
      {two_nodes + "<Calling Sub Searches>\n<Start Sub Search 0 at level 9> Moving to Node #0,1\n"},
      {"\n\n\n" + goal + goal + "Moving to Node #0\n" + goal},
  };
  for (const auto& texts : threads) {
    const auto at_once = told_in_pieces(texts, std::string::npos / 2);
    for (const std::size_t piece : {1, 2, 3, 7, 64}) CHECK(told_in_pieces(texts, piece) == at_once);
  }
}

TEST_CASE("a trace that was moved goes on where it was", "[solver]") {
  auto first = root_trace();
  first.feed(two_nodes + both_called.substr(0, 40), false);
  auto second = std::move(first);
  CHECK(prompts_of(second.feed(both_called.substr(40), false)).size() == 2);
}

} // namespace
} // namespace banyan
