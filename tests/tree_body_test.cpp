#include "apps/join_text.hpp"
#include "apps/serving/tree_body.hpp"
#include "solver/trace.hpp"
#include "tests/refused_field.hpp"

#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

/// A request with a problem, and `more` fields.
std::string with_problem(const std::string& more) {
  return R"({"problem": {"numbers": [3, 5, 7], "target": 22})" + (more.empty() ? "" : ", " + more)
         + "}";
}

TEST_CASE("a tree request has the defaults of the command line", "[http]") {
  const auto body = parse_tree_body(with_problem(""));
  CHECK(body.request.problem == problem{{3, 5, 7}, 22});
  CHECK(body.request.prompt == root_prompt({{3, 5, 7}, 22}));
  CHECK(body.request.task == "countdown");
  CHECK(body.request.sampling.temperature == 0);
  CHECK(body.request.join.when == join_policy::kind::all);
  CHECK(body.request.budget.max_threads == 256);
  CHECK(body.wait);
  CHECK_FALSE(body.stay);
}

TEST_CASE("every field of a tree request arrives", "[http]") {
  const auto body = parse_tree_body(with_problem(R"(
    "task": "countdown", "children": 4, "token_budget": 0, "join": "k_of_n:2",
    "sampling": {"temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05,
                 "seed": 18446744073709551615},
    "budget": {"max_tokens": 1, "max_tree_tokens": 2, "max_threads": 3, "max_depth": 4,
               "max_rounds": 5, "deadline_s": 6.5, "max_context": 7},
    "labels": {"run": "a", "note": "", "member": "b", "banyan": "c"}, "wait": false, "stay": true)"));
  const auto& r = body.request;
  conditioning said;
  said.sub_call_budget = 4;
  CHECK(r.prompt == root_prompt({{3, 5, 7}, 22}, said));
  CHECK(r.join.when == join_policy::kind::k_of_n);
  CHECK(r.join.k == 2);
  CHECK(r.sampling.temperature == 0.5F);
  CHECK(r.sampling.top_k == 40);
  CHECK(r.sampling.top_p == 0.9F);
  CHECK(r.sampling.min_p == 0.05F);
  CHECK(r.sampling.seed == UINT64_MAX);
  CHECK(r.budget.max_tokens == 1);
  CHECK(r.budget.max_tree_tokens == 2);
  CHECK(r.budget.max_threads == 3);
  CHECK(r.budget.max_depth == 4);
  CHECK(r.budget.max_rounds == 5);
  CHECK(r.budget.deadline_s == 6.5);
  CHECK(r.budget.max_context == 7);
  CHECK(r.labels
        == std::map<std::string, std::string>{
            {"run", "a"}, {"note", ""}, {"member", "b"}, {"banyan", "c"}});
  CHECK_FALSE(body.wait);
  CHECK(body.stay);
}

TEST_CASE("a prompt tells its problem", "[http]") {
  conditioning said;
  said.sub_call_budget = 3;
  const auto prompt = root_prompt({{42, 61, 66}, 47}, said);
  const auto body = parse_tree_body(nlohmann::json{{"prompt", prompt}}.dump());
  CHECK(body.request.prompt == prompt);
  CHECK(body.request.problem == problem{{42, 61, 66}, 47});
}

TEST_CASE("`nums` is `numbers`", "[http]") {
  CHECK(parse_tree_body(R"({"problem": {"nums": [3, 5], "target": 15}})").request.problem
        == problem{{3, 5}, 15});
}

TEST_CASE("a problem is a line of a problem file with whatever else stands there", "[http]") {
  const auto body = parse_tree_body(
      R"({"problem": {"id": 7, "nums": [3, 5], "target": 15, "solution": ["3*5=15"], "note": {}}})");
  CHECK(body.request.problem == problem{{3, 5}, 15});
}

TEST_CASE("a whole number is one however it is written", "[http]") {
  const auto seed = [](const std::string& text) {
    return parse_tree_body(with_problem("\"sampling\": {\"seed\": " + text + "}"))
        .request.sampling.seed;
  };
  CHECK(seed("3.0") == 3);
  CHECK(seed("1e3") == 1000);
  CHECK(seed("9007199254740992.0") == 9007199254740992);
  CHECK(seed("18446744073709551615") == 18446744073709551615u);
  CHECK(wrong_tree(with_problem(R"("sampling": {"seed": 1e17})")) == "sampling.seed"); // not each
  CHECK(wrong_tree(with_problem(R"("sampling": {"seed": -1.0})")) == "sampling.seed");
}

TEST_CASE("a null field is one that is not there", "[http]") {
  const auto body = parse_tree_body(with_problem(
      R"("prompt": null, "sampling": null, "join": null, "labels": null, "wait": null)"));
  CHECK(body.wait);
}

TEST_CASE("what is no JSON object is refused without a field", "[http]") {
  for (const auto* body : {"", "{", "[]", "3", "nul", "{\"a\": NaN}", "{\"wait\": 1e999}",
                           "{\"a\": \"\xff\"}", "{} {}", R"({"seed": 1, "seed": 1})",
                           R"({"a": [{"b": {}, "b": 2}]})", "\xef\xbb\xbf", "{'a': 1}"}) {
    INFO(body);
    CHECK(wrong_tree(body) == "-");
    CHECK(wrong_completion(body) == "-");
  }
}

TEST_CASE("objects side by side may have the same names", "[http]") {
  CHECK(
      wrong_tree(with_problem(R"("sampling": {"seed": 1}, "budget": {}, "labels": {"seed": "1"})"))
      == "");
}

TEST_CASE("a wrong tree request names the field at fault", "[http]") {
  const auto problem_is = [](const std::string& p) { return "{\"problem\": " + p + "}"; };
  CHECK(wrong_tree("{}") == "problem");
  CHECK(wrong_tree(problem_is("3")) == "problem");
  CHECK(wrong_tree(problem_is("{}")) == "problem.numbers");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2]})")) == "problem.target");
  CHECK(wrong_tree(problem_is(R"({"numbers": "1", "target": 3})")) == "problem.numbers");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1], "target": 3})")) == "problem.numbers");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2.5], "target": 3})")) == "problem.numbers");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, -2], "target": 3})")) == "problem.numbers");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2], "target": 10000})")) == "problem.target");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2], "target": 18446744073709551615})"))
        == "problem.target");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2], "target": "3"})")) == "problem.target");
  CHECK(wrong_tree(problem_is(R"({"numbers": [1, 2], "nums": [1, 2], "target": 3})"))
        == "problem.nums");
  for (const auto& [more, field] : std::vector<std::pair<std::string, std::string>>{
           {R"("task": "chess")", "task"},
           {R"("task": 3)", "task"},
           {R"("prompt": "Moving to Node #0\n")", "prompt"},
           {R"("children": -1)", "children"},
           {R"("children": 1.5)", "children"},
           {R"("children": 1e17)", "children"},
           {R"("children": 1000001.0)", "children"},
           {R"("token_budget": "1")", "token_budget"},
           {R"("token_budget": 2147483648)", "token_budget"},
           {R"("children": 4, "token_budget": 512)", "token_budget"},
           {R"("sampling": [])", "sampling"},
           {R"("sampling": {"temperature": -0.1})", "sampling.temperature"},
           {R"("sampling": {"temperature": "hot"})", "sampling.temperature"},
           {R"("sampling": {"temperature": true})", "sampling.temperature"},
           {R"("sampling": {"top_k": -1})", "sampling.top_k"},
           {R"("sampling": {"top_k": 2147483648})", "sampling.top_k"},
           {R"("sampling": {"top_p": 0})", "sampling.top_p"},
           {R"("sampling": {"top_p": 1.01})", "sampling.top_p"},
           {R"("sampling": {"min_p": 2})", "sampling.min_p"},
           {R"("sampling": {"seed": -1})", "sampling.seed"},
           {R"("sampling": {"seed": 18446744073709551616})", "sampling.seed"},
           {R"("sampling": {"topk": 1})", "sampling.topk"},
           {R"("join": "most")", "join"},
           {R"("join": "k_of_n:0")", "join"},
           {R"("join": 1)", "join"},
           {R"("budget": 1)", "budget"},
           {R"("budget": {"max_threads": 0})", "budget.max_threads"},
           {R"("budget": {"max_tokens": 4294967296})", "budget.max_tokens"},
           {R"("budget": {"max_tokens": -5})", "budget.max_tokens"},
           {R"("budget": {"deadline_s": -1})", "budget.deadline_s"},
           {R"("budget": {"deadline_s": 1e10})", "budget.deadline_s"},
           {R"("budget": {"tokens": 1})", "budget.tokens"},
           {R"("labels": [])", "labels"},
           {R"("labels": {"a": 1})", "labels.a"},
           {R"("labels": {"a=b": "1"})", "labels.a=b"},
           {R"("labels": {"": "1"})", "labels."},
           {R"("labels": {"banyan.member": "1"})", "labels.banyan.member"},
           {R"("wait": 1)", "wait"},
           {R"("stay": "yes")", "stay"},
           {R"("Wait": true)", "Wait"},
       }) {
    INFO(more);
    CHECK(wrong_tree(with_problem(more)) == field);
  }
}

TEST_CASE("a prompt is known by its words and not by its spaces", "[http]") {
  const auto strict = root_prompt({{25, 7, 36}, 54});
  for (const auto* loose :
       {"Moving to Node #0\nCurrent State: 54:[25, 7, 36], Operations: []",
        "Moving to Node #0\nCurrent State: 54:[25,7,36], Operations: []\n",
        " \n Moving to Node #0\nCurrent State: 54:[ 25 ,7,  36 ], Operations: []\n\n ",
        "Moving to Node #0\r\nCurrent State: 54:[25, 7, 36], Operations: []\r\n"}) {
    INFO(loose);
    CHECK(parse_tree_body(nlohmann::json{{"prompt", loose}}.dump()).request.prompt == strict);
  }
  for (const auto& wrong : {strict + "and so on", std::string("Once upon a time"), std::string(),
                            std::string("["), strict + strict, "Go. " + strict})
    CHECK(wrong_tree(nlohmann::json{{"prompt", wrong}}.dump()) == "prompt");
  CHECK(wrong_tree("{\"prompt\": 5}") == "prompt");
}

TEST_CASE("a prompt is conditioned once", "[http]") {
  const problem p{{3, 5}, 15};
  conditioning said;
  said.sub_call_budget = 2;
  const auto with_prompt = [](const std::string& prompt, const char* more) {
    return "{\"prompt\": " + nlohmann::json(prompt).dump() + ", " + more + "}";
  };
  CHECK(parse_tree_body(with_prompt(root_prompt(p), "\"children\": 2")).request.prompt
        == root_prompt(p, said));
  CHECK(wrong_tree(with_prompt(root_prompt(p, said), "\"children\": 2")) == "children");
  CHECK(wrong_tree(with_prompt(root_prompt(p, said), "\"token_budget\": 512")) == "token_budget");
}

TEST_CASE("too many and too long labels are refused", "[http]") {
  auto labels = nlohmann::json::object();
  for (int i = 0; i < 65; ++i) labels["l" + std::to_string(i)] = "";
  CHECK(wrong_tree(with_problem("\"labels\": " + labels.dump())) == "labels");
  const auto longest = nlohmann::json{{"a", std::string(300, 'x')}}.dump();
  CHECK(wrong_tree(with_problem("\"labels\": " + longest)) == "labels.a");
}

TEST_CASE("a body of very many keys takes no quadratic time", "[http]") {
  std::string body = "{\"a\": 0";
  for (int i = 0; i < 60'000; ++i) body += ", \"k" + std::to_string(i) + "\": 0";
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(wrong_tree(body + "}").empty());
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
}

TEST_CASE("a very deep body is refused and nothing else", "[http]") {
  CHECK(wrong_tree(std::string(500'000, '[')) == "-");
  CHECK(wrong_tree(R"({"labels": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}")
        == "problem");
}

TEST_CASE("an action acts on the whole tree unless a thread is named", "[http]") {
  CHECK(parse_action_body("") == "/");
  CHECK(parse_action_body("{}") == "/");
  CHECK(parse_action_body(R"({"thread": "/0/3"})") == "/0/3");
  const auto wrong = [](const char* body) {
    return refused_field([&] { parse_action_body(body); });
  };
  CHECK(wrong(R"({"thread": 3})") == "thread");
  CHECK(wrong(R"({"thread": "0"})") == "thread");
  CHECK(wrong(R"({"path": "/0"})") == "path");
  CHECK(wrong("nothing") == "-");
}

TEST_CASE("a join policy that is out of range is told the range", "[http]") {
  for (const auto* join : {"k_of_n:0", "k_of_n:4294967297", "deadline:0", "most"}) {
    INFO(join);
    try {
      parse_tree_body(with_problem(R"("join": ")" + std::string(join) + '"'));
      FAIL();
    } catch (const request_error& e) {
      CHECK(e.why.message.find('\'' + std::string(join) + "' does not fit") != std::string::npos);
      CHECK(e.why.message.find("from 1 to 4294967295") != std::string::npos);
      CHECK(e.why.message.find("above 0 and below 1000000000") != std::string::npos);
    }
  }
}

TEST_CASE("a join policy is what it was written as", "[http]") {
  for (const auto* text : {"all", "first_success", "k_of_n:3", "deadline:0.5"}) {
    join_policy join;
    CHECK(read_join(text, join));
    CHECK(join_text(join) == text);
  }
  join_policy join;
  for (const auto* text : {"", "all:1", "k_of_n", "k_of_n:", "k_of_n:-1", "k_of_n:2x", "deadline:0",
                           "deadline:inf", "deadline:nan", "deadline:1e9"}) {
    INFO(text);
    CHECK_FALSE(read_join(text, join));
  }
}

} // namespace
} // namespace banyan
