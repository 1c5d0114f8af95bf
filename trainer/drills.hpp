#pragma once

#include "trainer/batch.hpp"

#include <cstdint>

namespace banyan {

/// Arithmetic practice before and between demonstrations. A small model finds arithmetic harder
/// than the grammar of a trace, and a trace spends few of its tokens on it.
struct drill_options {
  std::int64_t max_result = 199;                             ///< as in the demonstrations
  int lines = 10;                                            ///< operations per row
  double plus = 0.3, minus = 0.3, times = 0.2, divide = 0.2; ///< shares; need not add up to 1
};

/// A row of lines "a-b=c\n", loss on the results only. Numbers are drawn about
/// as traces meet them. A pure function of (options, seed, index).
training_sequence arithmetic_drill(const drill_options&, const tokenizer&, std::uint64_t seed,
                                   std::uint64_t index);

} // namespace banyan
