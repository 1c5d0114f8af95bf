#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace banyan {

struct tree;

/// Figures over a set of finished trees; the fields are those of `evaluate --json`
/// (docs/interfaces.md).
class evaluation {
public:
  void add(const tree&);

  /// Seconds the whole set took; rates are computed from it.
  void took(double wall_s) { wall_s_ = wall_s; }

  /// The largest difference between a token's logprob when sampled and when scored by the training
  /// pass.
  void found_gap(double gap) { logprob_gap_max_ = gap > logprob_gap_max_ ? gap : logprob_gap_max_; }

  std::uint64_t problems() const { return problems_; }
  std::uint64_t solved() const { return solved_; }
  std::uint64_t claimed() const { return claimed_; }
  double accuracy() const { return problems_ ? double(solved_) / double(problems_) : 0; }
  /// Wilson's 95 % interval of the accuracy (Wilson 1927).
  std::array<double, 2> ci95() const;
  double generated_tokens_mean() const { return mean(generated_tokens_); }
  double critical_path_tokens_mean() const { return mean(critical_path_tokens_); }
  double children_mean() const { return mean(children_); }
  std::uint64_t threads_max() const { return threads_max_; }
  const std::map<std::string, std::uint64_t, std::less<>>& failures() const { return failures_; }
  double problems_per_s() const { return wall_s_ > 0 ? double(problems_) / wall_s_ : 0; }
  double tokens_per_s() const { return wall_s_ > 0 ? double(generated_tokens_) / wall_s_ : 0; }
  double wall_s() const { return wall_s_; }
  double logprob_gap_max() const { return logprob_gap_max_; }

  /// One JSON object.
  std::string json() const;

private:
  double mean(std::uint64_t sum) const { return problems_ ? double(sum) / double(problems_) : 0; }

  std::uint64_t problems_ = 0, solved_ = 0, claimed_ = 0;
  std::uint64_t generated_tokens_ = 0, critical_path_tokens_ = 0, children_ = 0, threads_max_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> failures_;
  double wall_s_ = 0, logprob_gap_max_ = 0;
};

} // namespace banyan
