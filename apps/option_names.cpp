#include "apps/options.hpp"

#include <algorithm>

namespace banyan {

namespace {

constexpr std::string_view commands =
    "banyand, cancel, evaluate, export, generate problems, generate traces, model export, "
    "model import, model info, pause, ps, resume, solve, submit, top, train rl, train sft, tree";

constexpr std::string_view options =
    "adamw-decay all beam beta1 beta2 checkpoint-every children clip concurrency "
    "condition-children condition-share condition-tokens condition-up-to context count "
    "data-dir deadline decay decay-start device drain drill-divide drill-lines "
    "drill-max-result drill-minus drill-plus drill-rows drill-share drill-steps drill-times "
    "dtype embedding-rate epsilon evaluate-every evaluate-problems exclude "
    "first-success-share follow format head-dim heads heuristic hidden intermediate "
    "interval join json keep keep-days keep-megabytes kv-heads label labels layers limit "
    "listen log-every log-format log-level max-bad-steps max-body-bytes max-connections "
    "max-depth max-header-bytes max-queue max-result max-rounds max-threads max-tokens "
    "max-tree-tokens min-accuracy min-p minutes model momentum muon-decay muon-dtype "
    "newton-schulz-steps norm-epsilon numbers optimizer order out pair-share print-config "
    "problems quiet rate read-timeout requests-per-second resume rope-theta search seed "
    "since solved spawn-probability state steps store sub-beam sync target temperature "
    "texts thread threads tie-embeddings timeout token-budget token-file top-k top-p traces "
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
