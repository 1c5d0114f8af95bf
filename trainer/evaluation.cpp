#include "trainer/evaluation.hpp"

#include "solver/tree.hpp"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

/// So many are looked at one by one.
constexpr double most_subsets = 1000;

double subsets(std::size_t n, std::size_t k) {
  double ways = 1;
  for (std::size_t i = 0; i < k; ++i) ways *= double(n - i) / double(i + 1);
  return std::round(ways);
}

json at_k(std::size_t k, const estimate& rate, double tokens_of_one) {
  return {{"k", k},
          {"rate", rate.value},
          {"ci95", rate.ci95},
          {"generated_tokens_mean", double(k) * tokens_of_one}};
}

} // namespace

evaluation::evaluation(std::size_t samples) : samples_(samples), pass_(samples), cons_(samples) {}

void evaluation::add(const tree& t) {
  const auto usage = t.usage();
  ++trees_;
  solved_ += t.outcome.solved;
  claimed_ += t.outcome.claimed;
  generated_tokens_ += usage.generated_tokens;
  critical_path_tokens_ += usage.critical_path_tokens;
  wasted_tokens_ += t.wasted_tokens();
  children_ += usage.threads > 0 ? usage.threads - 1 : 0;
  threads_max_ = std::max<std::uint64_t>(threads_max_, usage.threads);
  if (t.failure != errc::none) ++failures_[std::string(to_string(t.failure))];

  auto& said = answers_.emplace_back(answer{{}, t.outcome.solved});
  if (t.outcome.claimed)
    for (const auto& step : t.outcome.operations) said.operations += step + ",";
  if (answers_.size() == samples_) close_problem();
}

/// What of the majority of the answers in the mask is right: 0 or 1, between them where it is not
/// one.
double evaluation::majority(const std::vector<bool>& mask) const {
  std::map<std::string_view, std::pair<std::size_t, bool>> votes;
  std::size_t most = 0;
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    if (!mask[i] || answers_[i].operations.empty()) continue;
    auto& [count, right] = votes[answers_[i].operations];
    most = std::max(most, ++count);
    right |= answers_[i].right; // of those with the same operations one may have restated them
  }
  std::size_t ties = 0, right_ties = 0;
  for (const auto& [operations, vote] : votes)
    if (vote.first == most) ++ties, right_ties += vote.second;
  return ties > 0 ? double(right_ties) / double(ties) : 0;
}

double evaluation::majority_of(std::size_t k) const {
  double sum = 0;
  std::size_t groups = 0;
  const auto count = [&](const std::vector<bool>& mask) { sum += majority(mask), ++groups; };
  std::vector<bool> mask(samples_, false);
  std::fill_n(mask.begin(), k, true);
  if (subsets(samples_, k) <= most_subsets) {
    do {
      count(mask);
    } while (std::prev_permutation(mask.begin(), mask.end()));
  } else {
    for (; groups < samples_ / k; std::rotate(mask.rbegin(), mask.rbegin() + long(k), mask.rend()))
      count(mask);
  }
  return sum / double(groups);
}

void evaluation::close_problem() {
  const auto right = static_cast<std::size_t>(std::ranges::count(answers_, true, &answer::right));
  for (std::size_t k = 1; k <= samples_; ++k) {
    pass_[k - 1].push_back(banyan::pass_at(samples_, right, k));
    cons_[k - 1].push_back(majority_of(k));
  }
  answers_.clear();
}

std::string evaluation::json() const {
  nlohmann::ordered_json j;
  j["problems"] = problems();
  j["samples"] = samples_;
  j["solved"] = solved_;
  j["claimed"] = claimed_;
  j["accuracy"] = accuracy();
  j["ci95"] = ci95();
  j["generated_tokens_mean"] = generated_tokens_mean();
  j["critical_path_tokens_mean"] = critical_path_tokens_mean();
  j["wasted_tokens_mean"] = wasted_tokens_mean();
  j["children_mean"] = children_mean();
  j["threads_max"] = threads_max_;
  j["failures"] = failures_;
  for (std::size_t k = 1; samples_ > 1 && k <= samples_; ++k) {
    j["pass_at_k"].push_back(at_k(k, pass_at(k), generated_tokens_mean()));
    j["cons_at_k"].push_back(at_k(k, cons_at(k), generated_tokens_mean()));
  }
  j["problems_per_s"] = problems_per_s();
  j["tokens_per_s"] = tokens_per_s();
  j["wall_s"] = wall_s_;
  j["logprob_gap_max"] = logprob_gap_max_;
  return j.dump();
}

} // namespace banyan
