#include "apps/serving/completion_body.hpp"

#include "apps/serving/fields.hpp"
#include "apps/serving/http.hpp"

#include <algorithm>
#include <utility>

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

std::vector<std::int32_t> read_ids(const json& j) {
  std::vector<std::int32_t> ids;
  if (j.empty()) refuse_field("prompt", "it has no tokens", "give one or more");
  for (const auto& id : j) {
    if (!is_whole(id))
      refuse_field("prompt", "it has texts or lists among its tokens", "give whole numbers");
    if (const auto number = id.get<double>(); number < 0 || number > INT32_MAX)
      refuse_field("prompt", "there is no token " + id.dump(), "give ids from the vocabulary");
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

/// A string, a list of strings, a list of tokens, or a list of such lists.
std::vector<completion_prompt> read_prompts(const json& j) {
  std::vector<completion_prompt> prompts;
  const bool some = j.is_array() && !j.empty();
  if (some && j.front().is_number()) {
    prompts.push_back({{}, read_ids(j)});
  } else if (some && j.front().is_array()) {
    for (const auto& tokens : j) {
      if (!tokens.is_array())
        refuse_field("prompt", "it has lists and others", "give lists of tokens alone");
      prompts.push_back({{}, read_ids(tokens)});
    }
  } else {
    for (auto& text : read_texts(j, "prompt")) prompts.push_back({std::move(text), {}});
  }
  return prompts;
}

std::vector<std::string> read_stops(const json& j) {
  if (j.is_array() && j.empty()) return {};
  auto stops = read_texts(j, "stop");
  if (stops.size() > most_stops) refuse_field("stop", "there are too many", "give at most 16");
  for (const auto& stop : stops)
    if (stop.empty()) refuse_field("stop", "it has an empty string", "leave it out");
  return stops;
}

// What OpenAI's, vLLM's, SGLang's and llama.cpp's completions know, would change the text, and
// cannot be had here. Each is refused unless it says nothing.

constexpr std::pair<const char*, double> numbers_not_had[] = {
    {"presence_penalty", 0}, {"frequency_penalty", 0}, {"repetition_penalty", 1},
    {"repeat_penalty", 1},   {"length_penalty", 1},    {"no_repeat_ngram_size", 0},
    {"typical_p", 1},        {"min_tokens", 0},        {"mirostat", 0},
    {"dynatemp_range", 0},   {"dry_multiplier", 0},    {"xtc_probability", 0},
    {"top_n_sigma", -1},     {"n_indent", 0}};

constexpr std::pair<const char*, bool> flags_not_had[] = {
    {"ignore_eos", false},       {"use_beam_search", false},
    {"early_stopping", false},   {"include_stop_str_in_output", false},
    {"no_stop_trim", false},     {"skip_special_tokens", true},
    {"add_special_tokens", true}};

constexpr const char* others_not_had[] = {"suffix",
                                          "logit_bias",
                                          "stop_token_ids",
                                          "allowed_token_ids",
                                          "bad_words",
                                          "stop_regex",
                                          "truncate_prompt_tokens",
                                          "prompt_embeds",
                                          "grammar",
                                          "json_schema",
                                          "regex",
                                          "ebnf",
                                          "guided_json",
                                          "guided_regex",
                                          "guided_choice",
                                          "guided_grammar",
                                          "structural_tag",
                                          "structured_outputs",
                                          "logits_processors",
                                          "custom_logit_processor",
                                          "samplers",
                                          "lora",
                                          "lora_path",
                                          "n_predict"};

[[noreturn]] void refuse_art(const char* name) {
  refuse_field(name, "there is no such thing here", "leave it out");
}

/// An empty text, list or object; but an empty schema asks for JSON, whatever it is.
bool says_nothing(std::string_view name, const json& value) {
  const bool schema = name == "guided_json" || name == "json_schema";
  if (schema && value.is_object()) return false;
  return value.is_string() ? value.get_ref<const std::string&>().empty()
                           : value.is_structured() && value.empty();
}

void refuse_unknown_arts(fields& given) {
  for (const auto& [name, nothing] : numbers_not_had) {
    double value = nothing;
    given.real(name, value, -1e9, 1e9);
    if (value != nothing) refuse_art(name);
  }
  for (const auto& [name, nothing] : flags_not_had) {
    bool value = nothing;
    given.flag(name, value);
    if (value != nothing) refuse_art(name);
  }
  for (const auto* name : others_not_had)
    if (const auto* value = given.find(name); value && !says_nothing(name, *value))
      refuse_art(name);
}

void refuse_formats(fields& given) {
  const auto* format = given.find("response_format");
  if (format && *format != json{{"type", "text"}})
    refuse_field("response_format", "there is text alone here",
                 R"(leave it out, or give {"type": "text"})");
}

void refuse_best_of(fields& given, std::uint32_t n) {
  auto best_of = n;
  given.whole("best_of", best_of, 1);
  if (best_of != n) refuse_field("best_of", "all choices are returned", "give it the value of n");
}

/// Any number is enough for what is clamped to the context anyway.
void read_max_tokens(fields& given, std::uint32_t& most) {
  std::uint64_t wanted = most;
  given.whole("max_tokens", wanted);
  most = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, UINT32_MAX));
}

/// Some write -1 where they mean none.
void drop_minus_one(json& object, const char* name) {
  const auto found = object.find(name);
  if (found != object.end() && !found->is_number_unsigned() && *found == -1) object.erase(found);
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
  auto object = parse_body(text);
  drop_minus_one(object, "top_k");
  drop_minus_one(object, "seed");
  fields given(object);
  completion_body body;
  given.text("model", body.model);
  const auto* prompt = given.find("prompt");
  if (!prompt) refuse_field("prompt", "it is missing", "give a string or a list of them");
  body.prompts = read_prompts(*prompt);
  read_max_tokens(given, body.max_tokens);
  given.whole("n", body.n, 1, most_choices);
  if (body.n * body.prompts.size() > most_choices)
    refuse_field("n", "these are too many choices", "ask for at most 128, of all prompts together");
  body.sampling.temperature = 1;
  given.sampling(body.sampling);
  body.seeded = given.has("seed");
  if (const auto* stop = given.find("stop")) body.stop = read_stops(*stop);
  read_stream(given, body);
  if (given.has("logprobs")) given.whole("logprobs", body.logprobs.emplace(), 0, 5);
  given.flag("echo", body.echo);
  refuse_unknown_arts(given);
  refuse_formats(given);
  refuse_best_of(given, body.n);
  return body;
}

} // namespace banyan
