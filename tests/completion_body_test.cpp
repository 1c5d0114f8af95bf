#include "apps/serving/completion_body.hpp"
#include "apps/serving/completion_text.hpp"
#include "tests/refused_field.hpp"

#include <sstream>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

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
  const auto largest =
      parse_completion_body(R"({"prompt": "a", "seed": 18446744073709551615})"); // not -1
  CHECK(largest.seeded);
  CHECK(largest.sampling.seed == 18446744073709551615u);
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
           {R"("top_k": 18446744073709551615)", "top_k"},
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
           {R"("guided_json": {})", "guided_json"},
           {R"("lora_path": "x")", "lora_path"},
           {R"("top_n_sigma": 1)", "top_n_sigma"},
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

/// A token that a stop string may begin in is told as a whole, or as far as it is text.
TEST_CASE("a completion ends in front of its stop string however that is cut", "[http]") {
  using texts = std::vector<std::string>;
  CHECK(told({}, {"a", "b"}, "") == texts{"a", "b", ""});
  CHECK(told({"END"}, {"aE", "N", "D tail"}, "END") == texts{"", "", "", "a"});
  CHECK(told({"END"}, {"aE", "No"}, "") == texts{"", "aENo", ""});
  CHECK(told({"END"}, {"aEEN"}, "") == texts{"", "aEEN"});
  CHECK(told({"aab"}, {"aaa", "ab"}, "aab") == texts{"", "", "aa"});
  CHECK(told({"x"}, {"made before"}, "x") == texts{"made before", ""});
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
  CHECK(words(first) == "one@0 -1,");
  CHECK(first.text == "one");
  const auto rest = text.finish({"ND more", {{"ND", -3.F, {}}, {" more", -4.F, {}}}}, "END");
  CHECK(rest.text == " ");
  CHECK(words(rest) == " @3 -2,"); // as much of it as is text

  completion_text other({});
  CHECK(words(other.take({"ab", {{"ab", -1.F, {}}}})) == "ab@0 -1,");
  CHECK(words(other.finish({"c", {{"c", -2.F, {}}, {"", -3.F, {}}}}, "")) == "c@2 -2,@3 -3,");
}

} // namespace
} // namespace banyan
