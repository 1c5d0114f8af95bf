#pragma once

#include "model/config.hpp"

namespace banyan {

class tokenizer;
class transformer;
struct tree;

/// How far the logprobs under which a tree was sampled are from those of the training pass: the
/// largest difference over all sampled tokens. `temperature` is the one that it was sampled with
/// (0: greedy, whose logprobs are those of temperature 1). Infinite for a tree without logprobs.
double logprob_gap(const tree&, const transformer&, const tokenizer&, double temperature,
                   dtype compute);

} // namespace banyan
