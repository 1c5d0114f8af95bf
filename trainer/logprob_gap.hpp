#pragma once

#include "model/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace banyan {

class tokenizer;
class transformer;
struct tree;

/// How far the logprobs under which a tree was sampled are from those of the training pass: the
/// largest difference over all sampled tokens. `temperature` is the one that it was sampled with
/// (0: greedy, whose logprobs are those of temperature 1). A thread without logprobs counts for
/// nothing. `micro_tokens`, at most, go through the model at a time, or one thread.
double logprob_gap(const tree&, const transformer&, const tokenizer&, double temperature,
                   dtype compute, std::size_t micro_tokens = 16384);

/// The same over the tokens that were sampled with the weights of `epoch`, which `model` has, as
/// far as all that they saw was computed with those too: of threads that began with them, until
/// there were others. Nothing where there are no such tokens.
std::optional<double> logprob_gap(const tree&, std::uint32_t epoch, const transformer& model,
                                  const tokenizer&, double temperature,
                                  std::size_t micro_tokens = 16384);

} // namespace banyan
