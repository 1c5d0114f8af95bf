#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace banyan {

/// The larger of two; not a number where one of them is not, which `std::max` may hide.
inline double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }

using interval = std::array<double, 2>;

/// Wilson's 95 % interval (1927) of a share that was found in `trials` independent trials.
interval wilson(double share, double trials);

struct estimate {
  double value = 0;
  interval ci95{0, 1};
};

/// The mean of shares, one per problem, with its 95 % interval: Wilson's, for as many independent
/// trials as would have the variance found (Kish 1965), but never fewer than there are shares, nor
/// more than `trials`. Of zeros and ones it is Wilson's of their mean.
estimate mean_share(std::span<const double> shares, double trials);

/// Of `samples` solutions `right` are right: the probability that at least one of `k` of them is,
/// drawn without putting back (Chen et al. 2021, arXiv 2107.03374).
double pass_at(std::size_t samples, std::size_t right, std::size_t k);

/// Two runs over the same problems.
struct paired_comparison {
  std::size_t wins = 0, losses = 0; ///< problems that one run solved more often than the other
  estimate difference{0, {-1, 1}};  ///< of the means
  double p = 1;                     ///< McNemar's exact test, two-sided
};

/// Entry i of both is the share of problem i's samples that were right; `trials` of each run as
/// above. The interval is method 10 of Newcombe (1998, Statistics in Medicine 17:2635): the two
/// intervals above put together with the runs' correlation. For shares other than 0 and 1 McNemar's
/// test becomes the sign test on wins and losses.
paired_comparison compare(std::span<const double> ours, double our_trials,
                          std::span<const double> theirs, double their_trials);

} // namespace banyan
