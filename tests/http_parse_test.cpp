#include "apps/banyand/completion_body.hpp"
#include "apps/banyand/completion_text.hpp"
#include "apps/banyand/event_text.hpp"
#include "apps/banyand/gate.hpp"
#include "apps/banyand/metrics.hpp"
#include "apps/banyand/tree_body.hpp"
#include "apps/banyand/urls.hpp"
#include "apps/join_text.hpp"
#include "solver/trace.hpp"

#include <sstream>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

/// The field that a refusal names; "-" for a refusal that names none, "" for none.
template <class Function>
std::string refused_field(Function function) {
  try {
    function();
    return {};
  } catch (const request_error& e) {
    CHECK(e.why.why == refusal::kind::bad_request);
    CHECK(e.why.message.find("; ") != std::string::npos);
    return e.why.field.empty() ? "-" : e.why.field;
  }
}

std::string wrong_tree(const std::string& body) {
  return refused_field([&] { parse_tree_body(body); });
}
std::string wrong_completion(const std::string& body) {
  return refused_field([&] { parse_completion_body(body); });
}

/// A request with a problem, and `more` fields.
std::string with_problem(const std::string& more) {
  return R"({"problem": {"numbers": [3, 5, 7], "target": 22})" + (more.empty() ? "" : ", " + more)
         + "}";
}

// ---- trees

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
    "task": "countdown", "children": 4, "token_budget": 500, "join": "k_of_n:2",
    "sampling": {"temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05,
                 "seed": 18446744073709551615},
    "budget": {"max_tokens": 1, "max_tree_tokens": 2, "max_threads": 3, "max_depth": 4,
               "max_rounds": 5, "deadline_s": 6.5, "max_context": 7},
    "labels": {"run": "a", "note": "", "member": "b", "banyan": "c"}, "wait": false, "stay": true)"));
  const auto& r = body.request;
  conditioning said;
  said.sub_call_budget = 4;
  said.token_budget = 500;
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

TEST_CASE("a null field is one that is not there", "[http]") {
  const auto body = parse_tree_body(with_problem(
      R"("prompt": null, "sampling": null, "join": null, "labels": null, "wait": null)"));
  CHECK(body.wait);
}

TEST_CASE("what is no JSON object is refused without a field", "[http]") {
  for (const auto* body : {"", "{", "[]", "3", "nul", "{\"a\": NaN}", "{\"wait\": 1e999}",
                           "{\"a\": \"\xff\"}", "{} {}", "\xef\xbb\xbf", "{'a': 1}"}) {
    INFO(body);
    CHECK(wrong_tree(body) == "-");
    CHECK(wrong_completion(body) == "-");
  }
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
           {R"("children": 1e3)", "children"},
           {R"("token_budget": "1")", "token_budget"},
           {R"("token_budget": 2147483648)", "token_budget"},
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

// ---- completions

std::vector<std::string> texts_of(const completion_body& body) {
  std::vector<std::string> texts;
  for (const auto& prompt : body.prompts) {
    CHECK_FALSE(prompt.ids);
    texts.push_back(prompt.text);
  }
  return texts;
}

TEST_CASE("a completion request has OpenAI's defaults", "[http]") {
  const auto body = parse_completion_body(R"({"prompt": "Hello"})");
  CHECK(texts_of(body) == std::vector<std::string>{"Hello"});
  CHECK(body.model.empty());
  CHECK_FALSE(body.echo);
  CHECK(body.max_tokens == 16);
  CHECK(body.n == 1);
  CHECK(body.sampling.temperature == 1);
  CHECK(body.stop.empty());
  CHECK_FALSE(body.seeded);
  CHECK_FALSE(body.stream);
  CHECK_FALSE(body.logprobs);
}

TEST_CASE("every field of a completion request arrives", "[http]") {
  const auto body = parse_completion_body(R"({
    "model": "any", "prompt": ["a", "b"], "max_tokens": 7, "temperature": 0, "top_p": 0.5,
    "top_k": 3, "min_p": 0.1, "n": 2, "seed": 9, "stop": ["x", "y"], "stream": true,
    "stream_options": {"include_usage": true}, "logprobs": 5, "echo": true, "user": "me",
    "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "suffix": null,
    "repetition_penalty": 1.0, "min_tokens": 0, "ignore_eos": false, "best_of": 2,
    "something_new": [1]})");
  CHECK(texts_of(body) == std::vector<std::string>{"a", "b"});
  CHECK(body.model == "any");
  CHECK(body.max_tokens == 7);
  CHECK(body.n == 2);
  CHECK(body.sampling.temperature == 0);
  CHECK(body.sampling.top_p == 0.5F);
  CHECK(body.sampling.top_k == 3);
  CHECK(body.sampling.min_p == 0.1F);
  CHECK(body.sampling.seed == 9);
  CHECK(body.seeded);
  CHECK(body.stop == std::vector<std::string>{"x", "y"});
  CHECK(body.stream);
  CHECK(body.include_usage);
  CHECK(body.logprobs == 5);
  CHECK(body.echo);
}

TEST_CASE("a prompt may be tokens", "[http]") {
  using ids = std::vector<std::int32_t>;
  const auto one = parse_completion_body(R"({"prompt": [1, 2, 3]})").prompts;
  REQUIRE(one.size() == 1);
  CHECK(one[0].ids == ids{1, 2, 3});
  const auto two = parse_completion_body(R"({"prompt": [[1, 2], [3]]})").prompts;
  REQUIRE(two.size() == 2);
  CHECK(two[0].ids == ids{1, 2});
  CHECK(two[1].ids == ids{3});
}

TEST_CASE("what other servers take for nothing is nothing", "[http]") {
  const auto body = parse_completion_body(
      R"({"prompt": "a", "top_k": -1, "seed": -1, "max_tokens": 1099511627776})");
  CHECK(body.sampling.top_k == 0);
  CHECK_FALSE(body.seeded);
  CHECK(body.max_tokens == UINT32_MAX);
  CHECK(parse_completion_body(R"({"prompt": "a", "max_tokens": 0})").max_tokens == 0);
}

TEST_CASE("fields that would change the text and say nothing do no harm", "[http]") {
  for (const auto* more :
       {R"("repetition_penalty": 1)", R"("length_penalty": 1.0)", R"("min_tokens": 0)",
        R"("use_beam_search": false)", R"("skip_special_tokens": true)", R"("stop_token_ids": [])",
        R"("bad_words": [])", R"("logit_bias": {})", R"("suffix": "")", R"("guided_json": null)",
        R"("truncate_prompt_tokens": null)", R"("response_format": {"type": "text"})",
        R"("response_format": null)", R"("structured_outputs": null)", R"("user": "me")"}) {
    INFO(more);
    CHECK(wrong_completion(R"({"prompt": "a", )" + std::string(more) + "}") == "");
  }
}

TEST_CASE("a wrong completion request names the field at fault", "[http]") {
  CHECK(wrong_completion("{}") == "prompt");
  CHECK(wrong_completion(R"({"prompt": []})") == "prompt");
  CHECK(wrong_completion(R"({"prompt": 1})") == "prompt");
  for (const auto* prompt : {"[1, \"a\"]", "[\"a\", 1]", "[[1], 2]", "[1, [2]]", "[1.5]", "[-1]",
                             "[2147483648]", "[[1], \"a\"]", "[true]", "{}"})
    CHECK(wrong_completion(std::string(R"({"prompt": )") + prompt + "}") == "prompt");
  for (const auto& [more, field] : std::vector<std::pair<std::string, std::string>>{
           {R"("max_tokens": -1)", "max_tokens"},
           {R"("max_tokens": "16")", "max_tokens"},
           {R"("temperature": -1)", "temperature"},
           {R"("top_p": 0)", "top_p"},
           {R"("n": 0)", "n"},
           {R"("n": 129)", "n"},
           {R"("seed": -2)", "seed"},
           {R"("top_k": -2)", "top_k"},
           {R"("stop": "")", "stop"},
           {R"("stop": ["a", ""])", "stop"},
           {R"("stop": [1])", "stop"},
           {R"("stop": {"a": 1})", "stop"},
           {R"("stream": "yes")", "stream"},
           {R"("stream_options": {"include_usage": true})", "stream_options"},
           {R"("stream": true, "stream_options": 1)", "stream_options"},
           {R"("logprobs": 6)", "logprobs"},
           {R"("logprobs": true)", "logprobs"},
           {R"("echo": 1)", "echo"},
           {R"("suffix": "end")", "suffix"},
           {R"("best_of": 3)", "best_of"},
           {R"("presence_penalty": 0.1)", "presence_penalty"},
           {R"("frequency_penalty": -1)", "frequency_penalty"},
           {R"("repetition_penalty": 1.1)", "repetition_penalty"},
           {R"("min_tokens": 5)", "min_tokens"},
           {R"("ignore_eos": true)", "ignore_eos"},
           {R"("logit_bias": {"50256": -100})", "logit_bias"},
           {R"("stop_token_ids": [3])", "stop_token_ids"},
           {R"("allowed_token_ids": [3])", "allowed_token_ids"},
           {R"("bad_words": ["no"])", "bad_words"},
           {R"("include_stop_str_in_output": true)", "include_stop_str_in_output"},
           {R"("guided_regex": "a+")", "guided_regex"},
           {R"("guided_json": {"type": "object"})", "guided_json"},
           {R"("guided_choice": ["a"])", "guided_choice"},
           {R"("structured_outputs": {"regex": "a+"})", "structured_outputs"},
           {R"("response_format": {"type": "json_object"})", "response_format"},
           {R"("response_format": "text")", "response_format"},
           {R"("length_penalty": 2)", "length_penalty"},
           {R"("use_beam_search": true)", "use_beam_search"},
           {R"("skip_special_tokens": false)", "skip_special_tokens"},
           {R"("truncate_prompt_tokens": 5)", "truncate_prompt_tokens"},
           {R"("model": 3)", "model"},
       }) {
    INFO(more);
    CHECK(wrong_completion(R"({"prompt": "a", )" + more + "}") == field);
  }
  nlohmann::json many{{"prompt", std::vector<std::string>(65, "a")}, {"n", 2}};
  CHECK(wrong_completion(many.dump()) == "n");
  many = {{"prompt", "a"}, {"stop", std::vector<std::string>(17, "x")}};
  CHECK(wrong_completion(many.dump()) == "stop");
}

/// What is told of pieces, one by one, and at the end.
std::vector<std::string> told(const std::vector<std::string>& stops,
                              const std::vector<std::string>& pieces, const std::string& matched) {
  completion_text text(stops);
  std::vector<std::string> all;
  for (const auto& piece : pieces) all.push_back(text.take({piece, {{piece, -0.5F, {}}}}).text);
  all.push_back(text.finish({}, matched).text);
  return all;
}

TEST_CASE("a completion ends in front of its stop string however that is cut", "[http]") {
  using texts = std::vector<std::string>;
  CHECK(told({}, {"a", "b"}, "") == texts{"a", "b", ""});
  CHECK(told({"END"}, {"aE", "N", "D tail"}, "END") == texts{"a", "", "", ""});
  CHECK(told({"END"}, {"aE", "No"}, "") == texts{"a", "ENo", ""});
  CHECK(told({"END"}, {"aEEN"}, "") == texts{"aE", "EN"});
  CHECK(told({"aab"}, {"aaa", "ab"}, "aab") == texts{"a", "a", ""});
  CHECK(told({"x"}, {"made before"}, "x") == texts{"made before", ""});
}

TEST_CASE("half a character is held back", "[http]") {
  using texts = std::vector<std::string>;
  CHECK(told({}, {"\xc3", "\xa9"}, "") == texts{"", "\xc3\xa9", ""});
  CHECK(told({}, {"a\xf0\x9f", "\x8c\xb3"}, "") == texts{"a", "\xf0\x9f\x8c\xb3", ""});
  CHECK(told({}, {"a\xc3"}, "") == texts{"a", "\xc3"});
}

/// Tokens as text@offset and logprob.
std::string words(const told_text& told) {
  std::ostringstream out;
  for (const auto& [token, offset] : told.tokens)
    out << token.text << '@' << offset << ' ' << *token.logprob << ',';
  return out.str();
}

TEST_CASE("tokens stay with their text", "[http]") {
  completion_text text({"END"});
  const auto first = text.take({"one E", {{"one", -1.F, {}}, {" E", -2.F, {}}}});
  CHECK(words(first) == "one@0 -1, E@3 -2,");
  const auto rest = text.finish({"ND more", {{"ND", -3.F, {}}, {" more", -4.F, {}}}}, "END");
  CHECK(rest.text.empty());
  CHECK(rest.tokens.empty());

  completion_text other({});
  CHECK(words(other.take({"ab", {{"ab", -1.F, {}}}})) == "ab@0 -1,");
  CHECK(words(other.finish({"c", {{"c", -2.F, {}}, {"", -3.F, {}}}}, "")) == "c@2 -2,@3 -3,");
}

// ---- URLs

TEST_CASE("percent signs are undone and half ones refused", "[http]") {
  CHECK(percent_decoded("a%20b%2f") == "a b/");
  CHECK(percent_decoded("%00") == std::string(1, '\0'));
  for (const auto* wrong : {"%", "%2", "%zz", "a%1"}) CHECK_FALSE(percent_decoded(wrong));
}

TEST_CASE("a path is taken apart before its parts are decoded", "[http]") {
  using segments = std::vector<std::string>;
  CHECK(path_segments("/") == segments{});
  CHECK(path_segments("/v1/trees/a%2Fb") == segments{"v1", "trees", "a/b"});
  CHECK(path_segments("/v1//x/") == segments{"v1", "", "x", ""});
  CHECK_FALSE(path_segments("v1"));
  CHECK_FALSE(path_segments("/%"));
}

TEST_CASE("a query is read once and strictly", "[http]") {
  url_query query("limit=3&label=a=b&label=c%3Dd&solved=true&empty=&text=a+b");
  CHECK(query.number("limit", 1, 10, 5) == 3);
  CHECK(query.number("offset", 0, 10, 5) == 5);
  CHECK(query.texts("label") == std::vector<std::string>{"a=b", "c=d"});
  CHECK(query.flag("solved") == true);
  CHECK(query.text("empty") == "");
  CHECK(refused_field([&] { query.end(); }) == "text");
  CHECK(query.text("text") == "a b");
  CHECK(refused_field([&] { query.end(); }).empty());
  CHECK(refused_field([&] { query.text("label"); }) == "label");
  CHECK(refused_field([] { url_query("limit=0").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("limit=3x").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("limit=-3").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("solved=yes").flag("solved"); }) == "solved");
  CHECK(refused_field([] { url_query("at=today").time_ms("at"); }) == "at");
  CHECK_FALSE(refused_field([] { url_query("a=%"); }).empty());
}

TEST_CASE("a client's own words come back short", "[http]") {
  CHECK(shortened(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(shortened(std::string(7000, 'x')) == std::string(80, 'x') + "…");
  CHECK(shortened(std::string(79, 'x') + "ä and more") == std::string(79, 'x') + "…");
  CHECK(refused_field([] { url_query(std::string(7000, 'x') + "=1").end(); }).size() < 100);
}

TEST_CASE("times are read in both forms", "[http]") {
  CHECK(parse_time("2026-11-22T09:30:00.123Z") == 1795339800123);
  CHECK(parse_time("2026-11-22T10:30:00.1234567+01:00") == 1795339800123);
  CHECK(parse_time("2026-11-22T08:00:00-01:30") == 1795339800000);
  CHECK(parse_time("2026-11-22 09:30:00z") == 1795339800000);
  CHECK(parse_time("1795339800.123") == 1795339800123);
  CHECK(parse_time("0") == 0);
  for (const auto* wrong : {"", "today", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "-1",
                            "nan", "2026-11-22T25:00:00Z", "2026-11-22T09:30:00",
                            "2026-11-22T09:30:00.Z", "2026-11-22T09:30:00Zx", "2026-11-22"}) {
    INFO(wrong);
    CHECK_FALSE(parse_time(wrong));
  }
}

// ---- the gate

http_request request_from(const std::string& host, http_headers more = {}) {
  http_request request{"GET", "/v1/status", {}, {{"host", host}}, {}, "127.0.0.1", {}};
  for (auto& header : more) request.headers.push_back(std::move(header));
  return request;
}

int let_in(gate& g, const http_request& request) {
  const auto no = g.check(request, std::chrono::steady_clock::time_point{});
  return no ? no->status : 200;
}

TEST_CASE("without a token only our own names are answered", "[http]") {
  http_options options;
  options.address = "127.0.0.2";
  gate g(options, [] { return "secret"; });
  for (const auto* host :
       {"127.0.0.1:8427", "localhost", "LOCALHOST:1", "[::1]:8427", "127.0.0.2:1"})
    CHECK(let_in(g, request_from(host)) == 200);
  for (const auto* host : {"evil.example", "localhost.evil.example:8427", "127.evil.example",
                           "[::2]", "127.0.0.1.evil", "0.0.0.0", "["}) {
    INFO(host);
    CHECK(let_in(g, request_from(host)) == 403);
  }
}

TEST_CASE("a host is asked for once and not of HTTP/1.0", "[http]") {
  http_options options;
  gate g(options, [] { return "secret"; });
  http_request request{"GET", "/v1/status", {}, {}, {}, "127.0.0.1", {}};
  CHECK(let_in(g, request) == 400);
  request.is_1_0 = true;
  CHECK(let_in(g, request) == 200);
  request.headers = {{"origin", "http://evil.example"}};
  request.method = "POST";
  CHECK(let_in(g, request) == 403);
  request.headers = {{"host", "evil.example"}};
  CHECK(let_in(g, request) == 403);
  request.headers = {{"host", "localhost"}, {"host", "localhost"}};
  CHECK(let_in(g, request) == 400);
}

TEST_CASE("a page of another site changes nothing", "[http]") {
  http_options options;
  gate g(options, [] { return "secret"; });
  auto request = request_from("localhost:8427", {{"origin", "http://evil.example"}});
  CHECK(let_in(g, request) == 200);
  request.method = "POST";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "null";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "http://localhost:3000";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "http://localhost:8427";
  CHECK(let_in(g, request) == 200);
}

TEST_CASE("a token is asked for by its whole text", "[http]") {
  http_options options;
  options.token = "open sesame";
  gate g(options, [] { return "session"; });
  const auto with = [&](const char* name, const char* value) {
    return let_in(g, request_from("anything", {{name, value}}));
  };
  CHECK(let_in(g, request_from("anything")) == 401);
  CHECK(with("authorization", "Bearer open sesame") == 200);
  CHECK(with("authorization", "bearer open sesame") == 200);
  for (const auto* wrong : {"Bearer open", "Bearer open sesame!", "Bearer ", "Basic open sesame",
                            "open sesame", "Bearer OPEN SESAME", ""}) {
    INFO(wrong);
    CHECK(with("authorization", wrong) == 401);
  }
  CHECK(with("cookie", "a=b; banyan_session=session; c=d") == 200);
  CHECK(with("cookie", "banyan_session=session") == 200);
  CHECK(with("cookie", "banyan_session=open sesame") == 401);
  CHECK(with("cookie", "xbanyan_session=session") == 401);
  CHECK(with("cookie", "banyan_session=") == 401);
  CHECK(same_secret("", ""));
  CHECK_FALSE(same_secret("a", ""));
  CHECK_FALSE(same_secret("", "a"));
}

TEST_CASE("an address that asks too often waits and no other does", "[http]") {
  using namespace std::chrono_literals;
  rate_limiter rates(2);
  const rate_limiter::time_point start{1h};
  CHECK(rates.take("a", start) == 0);
  CHECK(rates.take("a", start) == 0);
  CHECK(rates.take("a", start) == Approx(0.5));
  CHECK(rates.take("b", start) == 0);
  CHECK(rates.take("a", start + 250ms) == Approx(0.25));
  CHECK(rates.take("a", start + 500ms) == 0);
  CHECK(rates.take("a", start + 1h) == 0);
  CHECK(rates.take("a", start + 1h) == 0);
  CHECK(rates.take("a", start + 1h) > 0);
  rate_limiter off(0);
  for (int i = 0; i < 1000; ++i) CHECK(off.take("a", start) == 0);
}

// ---- events and figures

TEST_CASE("an event is sent as one line of data", "[http]") {
  json data;
  data["text"] = "a\nb";
  CHECK(event_text("text", "s-3", data) == "event: text\nid: s-3\ndata: {\"text\":\"a\\nb\"}\n\n");
}

TEST_CASE("an event's number counts only in its own stream", "[http]") {
  CHECK(event_number("abc-17", "abc") == 17);
  CHECK(event_number(told_id("abc", 17, 2), "abc") == 17);
  CHECK(event_number(part_id("abc", 17, 2, 3), "abc") == 0);
  for (const auto* wrong : {"", "abc", "abc-", "abc-x", "abc-1x", "abd-17", "abcd-17", "abc--1",
                            "abc-17.", "abc-17.x", "abc-.2", "abc-17.2."})
    CHECK(event_number(wrong, "abc") == 0);
}

TEST_CASE("figures are drawn as Prometheus reads them", "[http]") {
  forest_status s;
  s.version = "1.2";
  s.node.failures[errc::no_solution] = 4;
  pool_status pool;
  pool.name = "cpu:0";
  pool.prompt_tokens = 10;
  pool.cached_tokens = 5;
  pool.step_s = histogram({0.1, 1});
  pool.step_s.add(0.05, 2);
  pool.step_s.add(7);
  s.node.pools = {pool};
  s.threads[thread_phase::waiting] = 3;
  s.damaged_trees = 2;
  s.store_trouble = "d/trees.db: full; make room";
  s.node.pools[0].cancelled = 6;
  http_counters http;
  http.count("GET", "/v1/trees/{id}", 200, 0.01);
  const auto text = metrics_text(daemon_metrics(s, http));
  for (const auto* line :
       {"# TYPE banyan_trees gauge\n", "banyan_info{version=\"1.2\"} 1\n",
        "banyan_threads{state=\"waiting\"} 3\n", "banyan_threads{state=\"queued\"} 0\n",
        "banyan_tree_failures_total{failure=\"no_solution\"} 4\n",
        "banyan_tree_failures_total{failure=\"pool_lost\"} 0\n",
        "banyan_thread_failures_total{failure=\"no_solution\"} 0\n",
        "banyan_thread_failures_total{failure=\"child_lost\"} 0\n",
        "banyan_store_damaged_trees 2\n", "banyan_store_writable 0\n",
        "banyan_pool_failed_total{pool=\"cpu:0\"} 0\n",
        "banyan_pool_cancelled_total{pool=\"cpu:0\"} 6\n",
        "banyan_pool_cache_hit_ratio{pool=\"cpu:0\"} 0.5\n",
        "banyan_pool_step_seconds_bucket{pool=\"cpu:0\",le=\"0.1\"} 2\n",
        "banyan_pool_step_seconds_bucket{pool=\"cpu:0\",le=\"+Inf\"} 3\n",
        "banyan_pool_step_seconds_count{pool=\"cpu:0\"} 3\n",
        "banyan_http_requests_total{method=\"GET\",path=\"/v1/trees/{id}\",status=\"200\"} 1\n"}) {
    INFO(line);
    CHECK(text.find(line) != text.npos);
  }
}

} // namespace
} // namespace banyan
