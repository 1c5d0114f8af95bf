#include "trainer/statistics.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace banyan {

namespace {

constexpr double z = 1.959964;

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

/// The same span twice gives the variance.
double covariance(std::span<const double> a, std::span<const double> b) {
  const auto mean_a = mean(a), mean_b = mean(b);
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum / double(a.size());
}

/// As many heads or tails of `n` tosses as `less`, or fewer, or as much to the other side.
double sign_test(std::size_t less, std::size_t n) {
  double tail = 0;
  for (std::size_t i = 0; i <= less; ++i)
    tail += std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(i) + 1)
                     - std::lgamma(double(n - i) + 1) - double(n) * std::log(2.0));
  return std::min(1.0, 2 * tail);
}

/// Pearson's, with the continuity correction that makes Newcombe's method 8 his method 10.
double corrected_correlation(std::span<const double> a, std::span<const double> b) {
  const auto spread = std::sqrt(covariance(a, a) * covariance(b, b));
  if (spread == 0) return 0;
  const auto found = covariance(a, b);
  return (found > 0 ? std::max(found - 0.5 / double(a.size()), 0.0) : found) / spread;
}

} // namespace

interval wilson(double share, double trials) {
  if (trials <= 0) return {0, 1};
  const auto scale = 1 + z * z / trials;
  const auto centre = (share + z * z / (2 * trials)) / scale;
  const auto half =
      z / scale * std::sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials));
  // Rounding must not move the ends that are known.
  return {share <= 0 ? 0 : std::max(0.0, centre - half),
          share >= 1 ? 1 : std::min(1.0, centre + half)};
}

estimate mean_share(std::span<const double> shares, double trials) {
  if (shares.empty()) return {};
  const auto n = double(shares.size()), share = mean(shares);
  const auto variance = covariance(shares, shares) / n;
  const auto binomial = share * (1 - share);
  const auto independent = variance > 0 ? binomial / variance : binomial > 0 ? trials : n;
  return {share, wilson(share, std::clamp(independent, n, std::max(n, trials)))};
}

double pass_at(std::size_t samples, std::size_t right, std::size_t k) {
  assert(right <= samples && 0 < k && k <= samples);
  double none = 1;
  for (std::size_t i = 0; i < k; ++i)
    none *= samples - right > i ? double(samples - right - i) / double(samples - i) : 0;
  return 1 - none;
}

paired_comparison compare(std::span<const double> ours, double our_trials,
                          std::span<const double> theirs, double their_trials) {
  assert(ours.size() == theirs.size());
  paired_comparison c;
  if (ours.empty()) return c;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    c.wins += ours[i] > theirs[i];
    c.losses += ours[i] < theirs[i];
  }
  const auto a = mean_share(ours, our_trials), b = mean_share(theirs, their_trials);
  const auto correlation = corrected_correlation(ours, theirs);
  const auto apart = [correlation](double x, double y) {
    return std::sqrt(std::max(0.0, x * x - 2 * correlation * x * y + y * y));
  };
  c.difference.value = a.value - b.value;
  c.difference.ci95 = {
      c.difference.value - apart(a.value - a.ci95[0], b.ci95[1] - b.value),
      c.difference.value + apart(a.ci95[1] - a.value, b.value - b.ci95[0]),
  };
  c.p = sign_test(std::min(c.wins, c.losses), c.wins + c.losses);
  return c;
}

} // namespace banyan
