#pragma once

#include "model/config.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace banyan {

class tokenizer;
class transformer;
struct tree;

/// How far the logprobs under which a tree was sampled are from those of the training pass: the
/// largest difference over all sampled tokens. `temperature` is the one that it was sampled with
/// (0: greedy, whose logprobs are those of temperature 1), `begin` what stood in front of every
/// prompt.
double logprob_gap(const tree&, const transformer&, const tokenizer&, double temperature,
                   const std::vector<std::int32_t>& begin, dtype compute);

} // namespace banyan
