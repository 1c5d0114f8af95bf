#include "apps/options.hpp"

#include <algorithm>

namespace banyan {

namespace {

constexpr std::string_view commands =
    "banyand, cancel, evaluate, export, generate problems, generate traces, model export, "
    "model import, model info, pause, ps, resume, solve, submit, top, train rl, train sft, tree";

constexpr std::string_view options =
    "adamw-decay advantage against all beam beta1 beta2 cancelled checkpoint-every "
    "children children-between clip clip-high clip-low concurrency condition-children "
    "condition-share condition-tokens condition-up-to context count credit data-dir "
    "deadline decay decay-start device drain drill-divide drill-lines drill-max-result "
    "drill-minus drill-plus drill-rows drill-share drill-steps drill-times dtype "
    "dynamic-sampling embedding-rate epsilon evaluate-every evaluate-problems exclude "
    "first-success-share follow format gap-trees group head-dim heads heuristic hidden "
    "importance-cap in-flight inner-steps intermediate interval join json keep "
    "keep-days keep-megabytes kl kl-max kv-heads label labels layers limit listen log-every "
    "log-format log-level max-attempts max-bad-steps max-body-bytes max-connections "
    "max-depth max-groups max-header-bytes max-queue max-result max-rounds max-thread-bytes "
    "max-threads "
    "max-tokens max-tree-tokens micro-tokens min-accuracy min-p minutes model momentum "
    "muon-decay muon-dtype newton-schulz-steps norm-epsilon numbers only-solved optimizer order "
    "out pair-share pool-device pool-dtype pool-threads print-config problems prompts "
    "quiet rate read-timeout recompute requests-per-second results resume "
    "reward-critical reward-most reward-obey reward-threads reward-tokens rope-theta "
    "samples search seed since solved spawn-probability staleness state steps store "
    "store-megabytes sub-beam summary sync target temperature texts thread threads "
    "tie-embeddings timeout token-budget token-budget-between token-file token-mean top-k top-p "
    "traces "
    "trees until url user wait warmup workers write-timeout";

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return parts;
}

} // namespace

std::span<const std::string_view> all_command_names() {
  static const auto names = split(commands, ", ");
  return names;
}

std::span<const std::string_view> all_option_names() {
  static const auto names = split(options, " ");
  return names;
}

} // namespace banyan
