#include "apps/remedies.hpp"

namespace banyan {

std::string words_for(remedy r) {
  switch (r) {
  case remedy::more_time: return "give a larger --deadline or a smaller --concurrency";
  case remedy::cheaper_trees:
    return "give a larger budget, --reward-obey off, or smaller --reward-tokens, "
           "--reward-critical, --reward-threads or --reward-most";
  case remedy::more_context: return "give a larger --context or --max-tokens";
  case remedy::larger_budget:
    return "give more --max-tokens, --max-tree-tokens, --max-threads, --max-depth or "
           "--max-rounds";
  case remedy::harder_problems:
    return "give harder --problems, a larger --group or a higher --temperature";
  case remedy::easier_problems:
    return "give easier --problems, a larger --group or a higher --temperature";
  case remedy::smaller_batches: return "give fewer --trees, and fewer --drill-rows";
  case remedy::smaller_micro_batches: return "give smaller --micro-tokens, or --recompute";
  case remedy::shorter_threads: return "give --recompute, or fewer --max-tokens";
  case remedy::less_memory:
    return "give smaller --micro-tokens, --recompute, or a smaller --concurrency";
  case remedy::gap_of_fewer_trees: return "give smaller --micro-tokens, or --gap-trees 0";
  case remedy::lower_rate: return "a lower --rate may help";
  case remedy::first_weights:
    return "put a copy of the weights that the run began with there, or begin a run in another "
           "--out from a --model";
  }
  return {};
}

} // namespace banyan
