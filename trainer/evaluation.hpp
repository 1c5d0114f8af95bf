#pragma once

#include "trainer/statistics.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace banyan {

struct tree;

/// Figures over a set of finished trees; the fields are those of `evaluate --json`
/// (docs/interfaces.md).
///
/// A problem may be solved several times. Then pass@k is how often at least one of k samples is
/// right, over all subsets of k. cons@k is how often their majority is: samples that claim no
/// solution do not vote; of the rest, the operations that occur most often (as text) are the
/// answer; where several occur equally often, each counts by its share; without a vote the problem
/// is not solved. It is the mean over all subsets of k samples too, or, where there are more than
/// 1000, over the groups of k that follow each other (what is left over does not count).
class evaluation {
public:
  /// So many trees a problem.
  explicit evaluation(std::size_t samples = 1);

  /// The trees of a problem come one after the other.
  void add(const tree&);

  /// Seconds the whole set took; rates are computed from it.
  void took(double wall_s) { wall_s_ = wall_s; }

  /// The largest difference between a token's logprob when sampled and when scored by the training
  /// pass.
  void found_gap(double gap) { logprob_gap_max_ = larger(logprob_gap_max_, gap); }

  std::uint64_t problems() const { return trees_ / samples_; }
  std::size_t samples() const { return samples_; }
  // Of all trees:
  std::uint64_t solved() const { return solved_; }
  std::uint64_t claimed() const { return claimed_; }
  double accuracy() const { return mean(solved_); }
  interval ci95() const { return pass_at(1).ci95; }
  double generated_tokens_mean() const { return mean(generated_tokens_); }
  double critical_path_tokens_mean() const { return mean(critical_path_tokens_); }
  double wasted_tokens_mean() const { return mean(wasted_tokens_); }
  double children_mean() const { return mean(children_); }
  std::uint64_t threads_max() const { return threads_max_; }
  const std::map<std::string, std::uint64_t, std::less<>>& failures() const { return failures_; }
  double problems_per_s() const { return wall_s_ > 0 ? double(problems()) / wall_s_ : 0; }
  double tokens_per_s() const { return wall_s_ > 0 ? double(generated_tokens_) / wall_s_ : 0; }
  double wall_s() const { return wall_s_; }
  double logprob_gap_max() const { return logprob_gap_max_; }

  // Of all problems; 0 < k <= samples:
  estimate pass_at(std::size_t k) const { return over_problems(pass_[k - 1], k); }
  estimate cons_at(std::size_t k) const { return over_problems(cons_[k - 1], k); }

  /// One JSON object.
  std::string json() const;

private:
  struct answer {
    std::string operations; ///< empty: none was claimed
    bool right = false;
  };

  double majority(const std::vector<bool>& mask) const;
  double majority_of(std::size_t k) const;
  void close_problem();
  /// Groups of k trees of a problem that share none are independent trials at most.
  estimate over_problems(const std::vector<double>& shares, std::size_t k) const {
    return mean_share(shares, double(problems() * (samples_ / k)));
  }
  double mean(std::uint64_t sum) const { return trees_ ? double(sum) / double(trees_) : 0; }

  std::size_t samples_;
  std::vector<answer> answers_;                  ///< of the problem whose trees come now
  std::vector<std::vector<double>> pass_, cons_; ///< of each k, one share per problem
  std::uint64_t trees_ = 0, solved_ = 0, claimed_ = 0;
  std::uint64_t generated_tokens_ = 0, critical_path_tokens_ = 0, wasted_tokens_ = 0;
  std::uint64_t children_ = 0, threads_max_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> failures_;
  double wall_s_ = 0, logprob_gap_max_ = 0;
};

} // namespace banyan
