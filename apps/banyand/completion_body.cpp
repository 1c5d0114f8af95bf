#include "apps/banyand/completion_body.hpp"

#include "apps/banyand/fields.hpp"
#include "apps/banyand/http.hpp"

namespace banyan {

using nlohmann::json;

namespace {

constexpr std::size_t most_choices = 128, most_stops = 16;

/// A string, or a list of strings.
std::vector<std::string> read_texts(const json& j, const char* name) {
  if (j.is_string()) return {j.get<std::string>()};
  std::vector<std::string> texts;
  if (j.is_array())
    for (const auto& text : j) {
      if (!text.is_string())
        refuse_field(name, "it has an entry that is no string", "give strings");
      texts.push_back(text.get<std::string>());
    }
  if (texts.empty()) refuse_field(name, "it is neither a string nor a list of them", "give one");
  return texts;
}

std::vector<std::string> read_stops(const json& j) {
  if (j.is_array() && j.empty()) return {};
  auto stops = read_texts(j, "stop");
  if (stops.size() > most_stops) refuse_field("stop", "there are too many", "give at most 16");
  for (const auto& stop : stops)
    if (stop.empty()) refuse_field("stop", "it has an empty string", "leave it out");
  return stops;
}

void refuse_penalties(fields& given) {
  for (const auto* name : {"presence_penalty", "frequency_penalty"}) {
    double penalty = 0;
    given.real(name, penalty, -2, 2);
    if (penalty != 0) refuse_field(name, "there are no penalties here", "leave it out");
  }
}

/// What would change the text, and cannot be had.
void refuse_unknown_arts(fields& given, std::uint32_t n) {
  refuse_penalties(given);
  bool echo = false;
  given.flag("echo", echo);
  if (echo) refuse_field("echo", "the prompt cannot be echoed", "leave it out");
  std::string suffix;
  given.text("suffix", suffix);
  if (!suffix.empty()) refuse_field("suffix", "text cannot be inserted", "leave it out");
  auto best_of = n;
  given.whole("best_of", best_of, 1);
  if (best_of != n) refuse_field("best_of", "all choices are returned", "give it the value of n");
  const auto* bias = given.find("logit_bias");
  if (bias && !bias->empty()) refuse_field("logit_bias", "there is no such bias", "leave it out");
}

void read_stream(fields& given, completion_body& body) {
  given.flag("stream", body.stream);
  const auto* j = given.find("stream_options");
  if (!j) return;
  if (!body.stream)
    refuse_field("stream_options", "nothing is streamed", "set stream or leave it out");
  fields options(*j, "stream_options");
  options.flag("include_usage", body.include_usage);
}

} // namespace

completion_body parse_completion_body(std::string_view text) {
  const auto object = parse_body(text);
  fields given(object);
  completion_body body;
  const auto* prompt = given.find("prompt");
  if (!prompt) refuse_field("prompt", "it is missing", "give a string or a list of them");
  body.prompts = read_texts(*prompt, "prompt");
  given.whole("max_tokens", body.max_tokens, 1);
  given.whole("n", body.n, 1, most_choices);
  if (body.n * body.prompts.size() > most_choices)
    refuse_field("n", "these are too many choices", "ask for at most 128, of all prompts together");
  body.sampling.temperature = 1;
  given.sampling(body.sampling);
  body.seeded = given.has("seed");
  if (const auto* stop = given.find("stop")) body.stop = read_stops(*stop);
  read_stream(given, body);
  if (given.has("logprobs")) given.whole("logprobs", body.logprobs.emplace(), 0, 1);
  std::string ignored;
  given.text("model", ignored);
  refuse_unknown_arts(given, body.n);
  return body;
}

} // namespace banyan
