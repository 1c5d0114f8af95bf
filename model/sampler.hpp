#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace banyan {

struct sampler_options {
  float temperature = 0;  ///< 0: greedy; ties go to the lowest id
  std::int32_t top_k = 0; ///< 0: off
  float top_p = 1, min_p = 0;
  std::uint64_t seed = 0;
};

struct sampled_token {
  std::int32_t id = 0;
  float logprob = 0; ///< natural log of its probability under the temperature (1 if greedy), before
                     ///< bans, top-k, top-p and min-p
};

/// Samples one token. A pure function of its arguments: the uniform number comes from Philox4x32-10
/// (Salmon et al. 2011) with key = seed and counter = (thread_key, position), so a tree can be
/// replayed whatever else shared the batch. `logits`: [vocab]; banned ids are never returned, ids
/// outside the vocabulary ban nothing.
///
/// Weights are exponentials in float, to about 1 ulp, added up in double in an order that does not
/// depend on the machine's vectors. So all machines with AVX2 or AVX-512 give the same to the last
/// bit. One without rounds an exponential differently now and then: the last bit of a logprob may
/// differ, and a token where the uniform number falls within that bit of two tokens' border.
///
/// Bans come first, then top-k (equal logits: lower ids first), top-p (the smallest set of the
/// likeliest tokens that holds `top_p` of what is left) and min-p (relative to the likeliest that
/// is not banned); the likeliest token always stays. Throws std::domain_error for a logit that is
/// NaN or +infinity (the weights are damaged; no token would be an honest answer) and where every
/// token is banned or at -infinity. Allocates nothing once an OS thread has seen the vocabulary's
/// size.
sampled_token sample(std::span<const float> logits, const sampler_options&,
                     std::uint64_t thread_key, std::uint64_t position,
                     std::span<const std::int32_t> banned = {});

/// A given token with its logprob under the temperature, as `sample` would tell it. Throws as that.
sampled_token score(std::span<const float> logits, float temperature, std::int32_t id);

/// Appends the `count` likeliest tokens, or all there are, likeliest first (equal logits: lower ids
/// first), with their logprobs under the temperature. Throws as `sample`.
void append_likeliest(std::span<const float> logits, float temperature, std::size_t count,
                      std::vector<sampled_token>& out);

/// The counter part of a thread: a stable 64-bit hash (FNV-1a) of its path ("/0/3").
std::uint64_t thread_key(std::string_view path);

/// One block of Philox4x32-10, the generator itself: a keyed bijection of the counter.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

/// One uniform number in [0, 1) of the stream (seed, thread_key, position).
double philox_uniform(std::uint64_t seed, std::uint64_t thread_key, std::uint64_t position);

} // namespace banyan
