#pragma once

#include "solver/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

/// A text, or the tokens of one.
struct completion_prompt {
  std::string text;
  std::optional<std::vector<std::int32_t>> ids;
};

/// What the body of `POST /v1/completions` asks for, in OpenAI's names and with its defaults.
struct completion_body {
  std::string model; ///< empty: the one there is
  std::vector<completion_prompt> prompts;
  std::uint32_t max_tokens = 16;
  std::uint32_t n = 1;       ///< choices per prompt; choice i samples with `seed + i`
  sampling_options sampling; ///< temperature 1
  bool seeded = false;       ///< a seed was given
  std::vector<std::string> stop;
  bool stream = false;
  bool echo = false;
  bool include_usage = false;            ///< a last chunk with the figures of all
  std::optional<std::uint32_t> logprobs; ///< 0 to 5; more than 0: with `top_logprobs`
};

/// Throws `request_error` that names the field. Fields of OpenAI's that would change the text and
/// that we do not have are refused unless they say nothing; all other fields are ignored.
completion_body parse_completion_body(std::string_view);

} // namespace banyan
