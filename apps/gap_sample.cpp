#include "apps/gap_sample.hpp"

#include "trainer/logprob_gap.hpp"
#include "trainer/statistics.hpp"

namespace banyan {

void gap_sample::add(std::size_t problem, const tree& t) {
  constexpr std::size_t size = 32;
  const auto before = [this](std::size_t index) { return index * size / num_problems_; };
  if (num_problems_ <= size || before(problem) != before(problem + 1)) trees_.push_back(t);
}

double gap_sample::largest(const transformer& scorer, const tokenizer& vocabulary,
                           const decoding_options& o) const {
  double gap = 0;
  for (const auto& t : trees_)
    gap = larger(gap, logprob_gap(t, scorer, vocabulary, o.sampling.temperature, o.precision));
  return gap;
}

} // namespace banyan
