#include "trainer/rl_progress.hpp"

#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

namespace banyan {

using json = nlohmann::ordered_json;

namespace {

/// JSON has no word for what is not finite.
json number(double x) { return std::isfinite(x) ? json(x) : json(nullptr); }

} // namespace

std::string to_json(const rl_progress& p) {
  const auto& sums = p.learnt.sums;
  const bool learnt = sums.terms > 0 && p.learnt.trouble != not_finite::loss; // it broke off there
  const auto mean = [&](double sum) { return learnt ? number(sum / sums.terms) : json(nullptr); };
  const auto& c = p.counts;
  json j;
  j["step"] = p.step;
  j["loss"] = learnt ? number(sums.loss) : json(nullptr);
  j["lr"] = p.rate;
  j["grad_norm"] = learnt ? number(p.learnt.grad_norm) : json(nullptr);
  j["tokens"] = p.total_tokens;
  j["tokens_per_s"] =
      learnt && p.train_s > 0 ? json(double(p.learnt.tokens) / p.train_s) : json(nullptr);
  j["elapsed_s"] = p.elapsed_s;
  j["reward_mean"] = p.reward_mean;
  j["accuracy"] = p.trees.accuracy();
  j["children_mean"] = p.trees.children_mean();
  j["generated_tokens_mean"] = p.trees.generated_tokens_mean();
  j["critical_path_tokens_mean"] = p.trees.critical_path_tokens_mean();
  j["kl"] = p.kl_measured ? mean(sums.kl) : json(nullptr);
  j["kl_max"] = learnt && p.kl_measured ? number(sums.kl_max) : json(nullptr);
  j["entropy"] = mean(sums.entropy);
  j["clip_share"] = learnt ? json(p.learnt.clip_share) : json(nullptr);
  j["importance_mean"] = mean(sums.importance);
  j["logprob_lag_mean"] = mean(sums.lag);
  j["logprob_gap_max"] = p.logprob_gap_max ? number(*p.logprob_gap_max) : json(nullptr);
  j["staleness_mean"] = learnt ? json(p.learnt.staleness_mean) : json(nullptr);
  j["rollout_s"] = p.around.rollout_s;
  j["wait_s"] = p.around.wait_s;
  j["train_s"] = p.train_s;
  j["publish_ms"] = p.around.publish_ms;
  j["publish_wait_ms"] = p.around.publish_wait_ms;
  j["swap_ms"] = p.around.swap_ms;
  j["pool_idle"] = number(p.around.pool_idle);
  j["trees"] = p.trees.problems();
  j["groups"] = {{"all", c.groups},
                 {"informative", c.informative},
                 {"all_solved", c.all_solved},
                 {"none_solved", c.none_solved},
                 {"dropped", c.dropped},
                 {"given_up", c.given_up}};
  for (const auto& [name, counts] : {std::pair("groups_by_difficulty", &c.by_difficulty),
                                     std::pair("dropped_by_difficulty", &c.dropped_by_difficulty)})
    j[name] = {{"hard", (*counts)[0]},
               {"medium", (*counts)[1]},
               {"easy", (*counts)[2]},
               {"unknown", (*counts)[3]}};
  j["repeated"] = c.repeated;
  j["repeated_by_failure"] = json::object();
  for (const auto& [failure, count] : c.repeated_by_failure)
    j["repeated_by_failure"][std::string(to_string(failure))] = count;
  j["sequences"] = p.learnt.sequences;
  j["shared_tokens_share"] =
      p.learnt.flat_tokens > 0 ? 1 - double(p.learnt.tokens) / double(p.learnt.flat_tokens) : 0;
  j["skipped"] = p.skipped;
  if (!p.warning.empty()) j["warning"] = p.warning;
  return j.dump();
}

} // namespace banyan
