#include "tests/http_fixture.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using strings = std::vector<std::string>;

/// Decodes the prompt itself, a word a piece, and ends as it is told.
auto echoing(std::string finish, std::string matched_stop = {}) {
  return
      [=](std::uint64_t, const completion_request& request,
          const std::function<void(completion_piece)>& tell, const answer_to<completion_end>& end) {
        completion_end last;
        for (std::size_t at = 0; at < request.prompt.size();) {
          const auto space = std::min(request.prompt.find(' ', at + 1), request.prompt.size());
          const auto word = request.prompt.substr(at, space - at);
          at = space;
          if (tell) {
            tell({word, {{word, -0.25F, {}}}});
          } else {
            last.rest.text += word;
            last.rest.tokens.push_back({word, -0.25F, {{"likelier", -0.125F}}});
          }
          ++last.generated_tokens;
        }
        last.finish = finish;
        last.matched_stop = matched_stop;
        last.prompt_tokens = 5;
        last.cached_tokens = 4;
        end(last);
      };
}

/// The data of a streamed answer.
strings chunks_of(const std::string& body) {
  strings chunks;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = body.find("\n\n", at);
    CHECK(body.substr(at, 6) == "data: ");
    chunks.push_back(body.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  return chunks;
}

TEST_CASE("a completion is answered as OpenAI does", "[http]") {
  served s;
  s.trees.decode = echoing("stop", "END");
  const auto answer = s.post(
      "/v1/completions",
      R"({"model": "countdown-3", "prompt": "one two END", "max_tokens": 3, "stop": "END", "temperature": 0})");
  CHECK(answer.status == 200);
  auto j = json::parse(answer.body);
  CHECK(j.at("id").get<std::string>().starts_with("cmpl-"));
  CHECK(j.at("object") == "text_completion");
  CHECK(j.at("created").get<std::int64_t>() > 1'700'000'000);
  CHECK(j.at("model") == "countdown-3");
  CHECK(j.at("choices") == json::parse(R"([{"text": "one two ", "index": 0, "logprobs": null,
                            "finish_reason": "stop", "matched_stop": "END"}])"));
  CHECK(j.at("usage")
        == json::parse(R"({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
                           "prompt_tokens_details": {"cached_tokens": 4}})"));
  const auto& asked = s.trees.completions.at(0);
  CHECK(asked.max_tokens == 3);
  CHECK(asked.stop == strings{"END"});
  CHECK(asked.sampling.temperature == 0);
  CHECK_FALSE(asked.stream);
}

TEST_CASE("choices sample with seeds that follow one another", "[http]") {
  served s;
  s.trees.decode = echoing("length");
  const auto j = s.post_json("/v1/completions", {{"prompt", {"a b", "c"}}, {"n", 2}, {"seed", 40}});
  CHECK(j.at("choices").size() == 4);
  for (int i = 0; i < 4; ++i) {
    CHECK(j.at("choices")[i].at("index") == i);
    CHECK(j.at("choices")[i].at("text") == (i < 2 ? "a b" : "c"));
    CHECK(j.at("choices")[i].at("finish_reason") == "length");
    CHECK(j.at("choices")[i].at("matched_stop") == nullptr);
    CHECK(s.trees.completions[i].sampling.seed == 40U + i % 2);
  }
  CHECK(j.at("usage").at("prompt_tokens") == 10); // each prompt once
  CHECK(j.at("usage").at("completion_tokens") == 6);
}

TEST_CASE("without a seed no two requests sample alike", "[http]") {
  served s;
  s.trees.decode = echoing("stop");
  for (int i = 0; i < 2; ++i) s.post("/v1/completions", R"({"prompt": "a"})");
  CHECK(s.trees.completions[0].sampling.seed != s.trees.completions[1].sampling.seed);
}

TEST_CASE("logprobs come with their tokens and places", "[http]") {
  served s;
  s.trees.decode = echoing("stop");
  auto j = s.post_json("/v1/completions", {{"prompt", "one two"}, {"logprobs", 1}});
  CHECK(j.at("choices")[0].at("logprobs")
        == json::parse(R"({"tokens": ["one", " two"], "token_logprobs": [-0.25, -0.25],
             "text_offset": [0, 3], "top_logprobs": [{"likelier": -0.125, "one": -0.25},
             {"likelier": -0.125, " two": -0.25}]})"));
  CHECK(s.trees.completions.at(0).logprobs == 1U);
  j = s.post_json("/v1/completions", {{"prompt", "one"}, {"logprobs", 0}});
  CHECK(j.at("choices")[0].at("logprobs").at("top_logprobs") == nullptr);
}

/// Tells the prompt where it is asked to, and then "more".
void telling_the_prompt(std::uint64_t, const completion_request& request,
                        const std::function<void(completion_piece)>& tell,
                        const answer_to<completion_end>& end) {
  if (request.echo) tell({"one END", {{"one", {}, {}}, {" END", -2.F, {{" a", -1.F}}}}, true});
  completion_end last;
  last.finish = "stop";
  last.matched_stop = "END";
  last.rest = {" more END", {{" more", -0.5F, {}}, {" END", -0.5F, {}}}};
  end(last);
}

TEST_CASE("an echoed prompt stands in front with the logprobs of its tokens", "[http]") {
  served s;
  s.trees.decode = telling_the_prompt;
  const auto expected = json::parse(R"({"tokens": ["one", " END", " more", " "],
      "token_logprobs": [null, -2, -0.5], "text_offset": [0, 3, 7, 12],
      "top_logprobs": [null, {" a": -1, " END": -2}, {" more": -0.5}]})");
  json request{{"prompt", "one END"}, {"echo", true}, {"logprobs", 5}, {"stop", "END"}};
  const auto choice = s.post_json("/v1/completions", request).at("choices")[0];
  CHECK(choice.at("text") == "one END more ");
  CHECK(choice.at("logprobs").at("tokens")[1] == " END"); // no stop string: it is the prompt's
  for (int i = 0; i < 3; ++i)
    for (const auto* list : {"token_logprobs", "text_offset", "top_logprobs"})
      CHECK(choice.at("logprobs").at(list)[i] == expected.at(list)[i]);
  request["stream"] = true;
  const auto chunks = chunks_of(s.post("/v1/completions", request.dump()).body);
  const auto first = json::parse(chunks[0]).at("choices")[0];
  CHECK(first.at("text") == "one END");
  CHECK(first.at("logprobs").at("token_logprobs") == json::parse("[null, -2]"));
  CHECK(json::parse(chunks[1]).at("choices")[0].at("logprobs").at("text_offset")[0] == 7);
}

TEST_CASE("tokens of a prompt reach the forest as they are", "[http]") {
  served s;
  s.trees.decode = echoing("length");
  s.post("/v1/completions", R"({"prompt": [[7, 1], [2]], "max_tokens": 0})");
  CHECK(s.trees.completions.at(0).ids == std::vector<std::int32_t>{7, 1});
  CHECK(s.trees.completions.at(1).ids == std::vector<std::int32_t>{2});
  CHECK(s.trees.completions.at(1).max_tokens == 0);
}

TEST_CASE("only the model that is served is", "[http]") {
  served s;
  s.trees.decode = echoing("stop");
  CHECK(s.post("/v1/completions", R"({"prompt": "a", "model": "countdown-3"})").status == 200);
  for (const auto& answer : {s.post("/v1/completions", R"({"prompt": "a", "model": "gpt-4"})"),
                             s.get("/v1/models/gpt-4")}) {
    CHECK(told_error(answer) == "404 model_not_found model");
    const auto error = json::parse(answer.body).at("error");
    CHECK(error.at("message").get<std::string>().find("countdown-3") != std::string::npos);
    CHECK(error.at("type") == "invalid_request_error");
  }
  const auto model = s.get("/v1/models/countdown-3");
  CHECK(model.status == 200);
  CHECK(json::parse(model.body) == s.get_json("/v1/models").at("data")[0]);
}

TEST_CASE("a streamed completion comes piece by piece", "[http]") {
  served s;
  s.trees.decode = echoing("stop", " END");
  const auto answer = s.post("/v1/completions",
                             R"({"prompt": "one two END", "stream": true, "stop": [" END"],
                                 "stream_options": {"include_usage": true}, "logprobs": 0})");
  CHECK(answer.status == 200);
  CHECK(answer.header("content-type").starts_with("text/event-stream"));
  auto chunks = chunks_of(answer.body);
  REQUIRE(chunks.size() == 5);
  CHECK(chunks.back() == "[DONE]");
  const auto choice = [&](std::size_t i) { return json::parse(chunks[i]).at("choices")[0]; };
  CHECK(choice(0).at("text") == "one");
  CHECK(choice(0).at("finish_reason") == nullptr);
  CHECK(choice(1).at("text") == " two");
  CHECK(choice(1).at("logprobs").at("text_offset") == json{3});
  CHECK(choice(2).at("text") == "");
  CHECK(choice(2).at("finish_reason") == "stop");
  CHECK(choice(2).at("matched_stop") == " END");
  CHECK(json::parse(chunks[0]).at("usage") == nullptr);
  const auto usage = json::parse(chunks[3]);
  CHECK(usage.at("choices").empty());
  CHECK(usage.at("usage").at("completion_tokens") == 3);
}

TEST_CASE("a client that leaves stops its completions", "[http]") {
  served s;
  std::vector<answer_to<completion_end>> open;
  s.trees.decode = [&](std::uint64_t, const completion_request&,
                       const std::function<void(completion_piece)>& tell, const auto& end) {
    open.push_back(end);
    if (tell) tell({"begun", {}, {}});
  };
  {
    auto waiting = s.connect();
    waiting.send(request_text("POST", "/v1/completions", R"({"prompt": "a", "n": 2})"));
    s.trees.wait_until([&] { return s.trees.completions.size() == 2; });
  }
  s.trees.wait_until([&] { return s.trees.stopped == std::set<std::uint64_t>{1, 2}; });
  {
    auto streaming = s.connect();
    streaming.send(request_text("POST", "/v1/completions", R"({"prompt": "a", "stream": true})"));
    CHECK(read_head(streaming).status == 200);
    CHECK(read_chunk(streaming).find("begun") != std::string::npos);
  }
  s.trees.wait_until([&] { return s.trees.stopped.contains(3); });
}

TEST_CASE("a reader that takes nothing stops its completion", "[http]") {
  auto options = on_any_port();
  options.write_timeout_s = 30;
  served s(options);
  s.trees.decode = [](std::uint64_t, const completion_request&,
                      const std::function<void(completion_piece)>& tell, const auto&) {
    for (int i = 0; i < 300; ++i) tell({std::string(64 * 1024, 'x'), {}, {}});
  };
  raw_client stuck(s.server.port(), 4096);
  stuck.send(request_text("POST", "/v1/completions", R"({"prompt": "a", "stream": true})"));
  s.trees.wait_until([&] { return s.trees.stopped.contains(1); });
}

TEST_CASE("errors of OpenAI's paths have OpenAI's fields", "[http]") {
  served s;
  const auto error_of = [](const http_answer& a) { return json::parse(a.body).at("error"); };
  const auto wrong = error_of(s.post("/v1/completions", R"({"prompt": "a", "n": 0})"));
  CHECK(wrong.at("code") == "bad_request");
  CHECK(wrong.at("field") == "n");
  CHECK(wrong.at("type") == "invalid_request_error");
  CHECK(wrong.at("param") == "n");
  CHECK(error_of(s.get("/v1/completions")).at("type") == "invalid_request_error");
  CHECK(error_of(s.get("/v1/models?x=1")).at("param") == "x");
  CHECK_FALSE(error_of(s.get("/v1/trees?x=1")).contains("type"));
}

TEST_CASE("a completion that is refused has a status even where it was to be streamed", "[http]") {
  served s;
  s.trees.refuse = refusal{refusal::kind::full, "the queue: it is full; try again", {}, 3};
  for (const auto* stream : {"true", "false"}) {
    const auto answer = s.post("/v1/completions",
                               std::string(R"({"prompt": ["a", "b"], "stream": )") + stream + "}");
    CHECK(answer.status == 429);
    CHECK(answer.header("retry-after") == "3");
    CHECK(answer.header("content-type") == "application/json");
  }
}

TEST_CASE("a completion that fails in its midst says so in the stream", "[http]") {
  served s;
  s.trees.decode = [](std::uint64_t, const completion_request&,
                      const std::function<void(completion_piece)>& tell,
                      const answer_to<completion_end>& end) {
    tell({"begun", {}, {}});
    end(refusal{refusal::kind::unavailable, "the pool: it is lost; try again"});
  };
  const auto answer = s.post("/v1/completions", R"({"prompt": "a", "stream": true})");
  CHECK(answer.status == 200);
  const auto chunks = chunks_of(answer.body);
  REQUIRE(chunks.size() == 2);
  CHECK(json::parse(chunks[1]).at("error").at("type") == "server_error");
}

} // namespace
} // namespace banyan
