#include "trainer/evaluation.hpp"

#include "solver/tree.hpp"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace banyan {

void evaluation::add(const tree& t) {
  const auto usage = t.usage();
  ++problems_;
  solved_ += t.outcome.solved;
  claimed_ += t.outcome.claimed;
  generated_tokens_ += usage.generated_tokens;
  critical_path_tokens_ += usage.critical_path_tokens;
  children_ += usage.threads > 0 ? usage.threads - 1 : 0;
  threads_max_ = std::max<std::uint64_t>(threads_max_, usage.threads);
  if (t.failure != errc::none) ++failures_[std::string(to_string(t.failure))];
}

std::array<double, 2> evaluation::ci95() const {
  if (problems_ == 0) return {0, 1};
  const auto n = double(problems_), p = accuracy(), z = 1.959964;
  const auto centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const auto half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

std::string evaluation::json() const {
  nlohmann::ordered_json j;
  j["problems"] = problems_;
  j["solved"] = solved_;
  j["claimed"] = claimed_;
  j["accuracy"] = accuracy();
  j["ci95"] = ci95();
  j["generated_tokens_mean"] = generated_tokens_mean();
  j["critical_path_tokens_mean"] = critical_path_tokens_mean();
  j["children_mean"] = children_mean();
  j["threads_max"] = threads_max_;
  j["failures"] = failures_;
  j["problems_per_s"] = problems_per_s();
  j["tokens_per_s"] = tokens_per_s();
  j["wall_s"] = wall_s_;
  j["logprob_gap_max"] = logprob_gap_max_;
  return j.dump();
}

} // namespace banyan
