#pragma once

#include "solver/errc.hpp"
#include "solver/request.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace banyan {

class transformer;

enum class finish_reason : std::uint8_t {
  eos,
  stop,
  length,
  context,
  cancelled, ///< broken off by a `decode_cancel`; what was sampled until then counts
};

/// Everything about one sequence: any pool can take it over, for the text is all here.
struct decode_request {
  std::uint64_t family = 0;      ///< one number per tree: first come first served by family
  std::string thread;            ///< path in the tree; part of the sampling counter
  std::vector<std::int32_t> ids; ///< all tokens so far, at least one
  sampling_options sampling;
  std::uint32_t max_tokens = 0;  ///< new tokens at most; 0: as many as the context holds
  std::vector<std::string> stop; ///< ends after the token that completes one of them
  std::vector<std::int32_t> ban; ///< never sampled
  bool resumes_join = false;     ///< a parent after its join: goes first
  bool keep_lease = true;        ///< keep the cache blocks until `lease_release` or pressure
  bool watched = false;          ///< tell the sender what was sampled so far, by `decode_progress`
  std::optional<std::uint32_t> weights_epoch; ///< decode with these weights to the end, whatever
                                              ///< is published; `no_weights` if they are not there
  std::shared_ptr<std::atomic<std::uint64_t>> meter; ///< goes up by one for each sampled token
  std::uint32_t likeliest = 0; ///< so many tokens are told for each place, `max_likeliest` at most
  bool scores_prompt = false;  ///< tell how likely `ids` are too: nothing is taken from the cache
};

constexpr std::uint32_t max_likeliest = 20;

/// A token that could have stood at a place; logprob as in `decode_reply`.
struct token_chance {
  std::int32_t id = 0;
  float logprob = 0;
};

/// What was sampled, with how likely it was and which weights made it.
struct decode_reply {
  std::vector<std::int32_t> ids; ///< an end-of-sequence token included
  std::vector<float> logprobs;   ///< natural log, under the temperature, before top-k/top-p/min-p
  std::vector<std::uint32_t> epochs;
  finish_reason finish = finish_reason::eos;
  std::string matched_stop; ///< for `finish_reason::stop`
  std::uint32_t prompt_tokens = 0, cached_tokens = 0;
  std::vector<token_chance> likeliest; ///< [ids, as many as were asked for or the vocabulary has]
  std::vector<float> prompt_logprobs;  ///< where asked for: of the request's ids but the first
  std::vector<token_chance> prompt_likeliest; ///< the same for each of those
};

/// Sampled since the last one, for a watched thread.
struct decode_progress {
  std::vector<std::int32_t> ids;
  std::vector<float> logprobs;
  std::vector<token_chance> likeliest; ///< as in `decode_reply`
};

/// Breaks off what is decoded for `thread` and everything below it in `family`.
struct decode_cancel {
  std::uint64_t family = 0;
  std::string thread = "/";
  bool will_return = false; ///< it goes on later: its whole blocks stay findable
};

/// From now on the request of `thread` in `family` is a watched one, or no longer.
struct decode_watch {
  std::uint64_t family = 0;
  std::string thread = "/";
  bool on = true;
};

/// Asks a pool what it does and holds for a thread.
struct sequence_request {
  std::uint64_t family = 0;
  std::string thread = "/";
};
struct sequence_status {
  std::uint64_t blocks = 0; ///< of the running sequence, or of the lease
  bool leased = false;
  std::uint32_t prompt_tokens = 0;   ///< of the request that runs; 0: none does
  std::vector<std::int32_t> sampled; ///< for it, so far
};

/// `thread` and everything below it in `family` will not come back to its cached prefix.
struct lease_release {
  std::uint64_t family = 0;
  std::string thread = "/";
};

/// New weights: a `model` on the pool's device and in its precision that is ready to decode
/// (`transformer::prepare`) and that nobody changes any more, or, without one, a checkpoint under
/// `path`. Tokens sampled with them carry `epoch`, which must be greater than all before.
struct weights_ready {
  std::uint32_t epoch = 0;
  std::shared_ptr<const transformer> model;
  std::string path;
};

/// The next step decodes with the weights of `epoch`.
struct weights_taken {
  std::uint32_t epoch = 0;
  double swap_ms = 0; ///< between two steps, in which the pool did not decode
  double busy_s = 0;  ///< in which it has decoded, since it began
};

} // namespace banyan
