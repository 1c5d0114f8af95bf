#include "apps/decoding_options.hpp"

#include "solver/trace.hpp"

namespace banyan {

solve_request decoding_options::request_for(const problem& p) const {
  solve_request request;
  request.problem = p;
  conditioning said;
  if (children >= 0) said.sub_call_budget = children;
  if (token_budget > 0) said.token_budget = token_budget;
  request.prompt = root_prompt(p, said);
  request.sampling = sampling;
  request.join = join;
  request.budget = budget;
  return request;
}

void check(const decoding_options& o) {
  if (o.children >= 0 && o.token_budget > 0)
    throw bad_usage("--token-budget", "--children is given too, and no demonstration has both",
                    "give one of the two");
}

void declare(option_list& list, decoding_options& o) {
  list.group("Model and device");
  list.path("model", o.model, "DIR", "checkpoint; default: the best shipped one");
  declare_devices(list, "device", o.devices, "where to decode, more than once for more devices");
  declare_dtype(list, "dtype", o.precision, "of weights and cache");
  list.number("threads", o.threads, "OS threads for the CPU; 0: one per core", os_threads);
  list.number("concurrency", o.concurrency, "trees at a time", positive);
  declare_decoding(list, o);
}

void declare_decoding(option_list& list, decoding_options& o, const std::string& temperature) {
  list.group("Decoding");
  list.number("temperature", o.sampling.temperature, temperature, limits{0, 100});
  list.number("top-k", o.sampling.top_k, "0: off", not_negative);
  list.number("top-p", o.sampling.top_p, "1: off", limits{1e-6, 1});
  list.number("min-p", o.sampling.min_p, "0: off", share);
  list.number("seed", o.sampling.seed, "the same seed samples the same tokens");
  list.number("children", o.children, "condition on `Sub Call Budget: N`; -1: do not",
              limits{-1, 1e6});
  list.number("token-budget", o.token_budget,
              "condition on `Token Budget: N` in place of --children; 0: do not", not_negative);
  option join{"join", "POLICY",
              "when a parent goes on: all, first_success, k_of_n:K, deadline:SECONDS", join_forms};
  join.read = [&o](const std::string& text) { return read_join(text, o.join); };
  join.write = [&o] { return std::vector{join_text(o.join)}; };
  list.add(std::move(join));

  list.group("Budget of a tree");
  auto& b = o.budget;
  list.number("max-tokens", b.max_tokens, "per thread; 0: what the model's context holds");
  list.number("context", b.max_context,
              "tokens of a thread's context, prompt and joins included; 0: the model's");
  list.number("max-tree-tokens", b.max_tree_tokens, "of all threads; 0: any");
  list.number("max-threads", b.max_threads, "the root included", positive);
  list.number("max-depth", b.max_depth, "children of the root are at depth 1; 0: nobody spawns");
  list.number("max-rounds", b.max_rounds, "spawn rounds per thread; 0: no limit");
  list.number("deadline", b.deadline_s, "seconds; 0: none", limits{0, 1e9});
}

} // namespace banyan
