#include "apps/rl_options.hpp"

#include "apps/run_config.hpp"
#include "solver/trace.hpp"

#include <array>
#include <cstdio>

namespace banyan {

namespace {

constexpr auto about =
    "Reinforcement learning: groups of trees are rolled out for each problem, verified, and what "
    "was\n"
    "better than its group becomes likelier (GRPO). Checkpoints in Hugging Face layout, the log\n"
    "(log.jsonl), its picture (curve.svg), its trees (trees.db) and the resolved\n"
    "options (train.conf) go to the folder --out. Ctrl-C writes a checkpoint and ends; --resume "
    "goes\n"
    "on from the last one, also after kill -9. docs/training.md has the equations.";

constexpr auto examples =
    "  banyan train rl --out runs/rl --model runs/sft/last --minutes 60 --exclude heldout.jsonl\n"
    "  banyan train rl --out runs/rl --resume                go on after a stop or a crash\n"
    "  banyan train rl --out runs/rl --listen 127.0.0.1:8427 watched with `banyan top` or a "
    "browser\n"
    "  banyan train rl --out runs/rl --model runs/a/last --problems p.jsonl --steps 150\n"
    "  banyan evaluate --model runs/rl/last --problems heldout.jsonl --temperature 1\n";

void declare_run(option_list& list, train_rl_options& o) {
  auto& r = o.rl;
  declare_run(list, o, r, "; default: the best shipped one");
  declare_dtype(list, "dtype", r.learner.compute,
                "of training's matrix products; weights stay in float32");
  list.number("threads", o.threads, "OS threads of training on the CPU; 0: half of the cores",
              os_threads);
  declare_devices(list, "pool-device", o.pool_devices,
                  "where to decode rollouts, more than once for more; default: --device");
  declare_dtype(list, "pool-dtype", o.pool_precision, "of weights and cache when decoding");
  list.number("pool-threads", o.pool_threads,
              "OS threads of a pool on the CPU; 0: half of the cores", os_threads);
  list.text(
      "listen", o.listen, "HOST:PORT",
      "serve the live node over HTTP, as banyand does: look at rollouts, or have trees solved; "
      "default: nowhere");
  list.number("store-megabytes", o.store_megabytes, "trees kept on disk at most", limits{1, 1e12});
}

/// A number drawn for each problem, or none.
option drawn(const std::string& name, std::optional<std::pair<int, int>>& field, int smallest,
             const std::string& example, const std::string& help) {
  option range{name, "LO:HI|none", help,
               "none, or two whole numbers from " + std::to_string(smallest) + ", as in " + example
                   + ", the smaller one first"};
  range.read = [&field, smallest](const std::string& text) {
    if (text == "none") return field.reset(), true;
    int low = 0, high = 0, end = 0;
    if (std::sscanf(text.c_str(), "%9d:%9d%n", &low, &high, &end) != 2) return false;
    if (static_cast<std::size_t>(end) != text.size() || low < smallest || high < low) return false;
    field = {low, high};
    return true;
  };
  range.write = [&field] {
    return std::vector{field ? std::to_string(field->first) + ":" + std::to_string(field->second)
                             : std::string("none")};
  };
  return range;
}

void declare_rollouts(option_list& list, train_rl_options& o) {
  auto& p = o.rollouts;
  list.group("Problems and rollouts");
  list.path("problems", o.problems, "FILE", "problems to learn from, instead of drawn ones");
  list.number("numbers", o.num_numbers, "numbers in a problem that is drawn", limits{2, 6});
  declare_held_out(list, o, o.rl);
  list.number("prompts", p.prompts, "problems that a step learns from", positive);
  list.number("group", p.group, "trees of each problem", limits{2, 4096});
  list.choice("dynamic-sampling", p.dynamic_sampling, {{"on", true}, {"off", false}},
              "make up for groups whose trees were all worth the same");
  list.number("max-groups", p.max_groups, "problems of a step at most, times --prompts", positive);
  list.number("max-attempts", p.max_attempts, "for a tree that a machine failed or that was late",
              positive);
  list.number("staleness", o.rl.staleness, "steps that rollouts run ahead of training",
              limits{0, 64});
  list.choice("in-flight", o.policy, {{"finish", in_flight::finish}, {"go-on", in_flight::go_on}},
              "trees end with the weights they began with, or go on with new ones");
  list.number("concurrency", o.decoding.concurrency, "trees at a time", positive);
  list.add(drawn("children-between", o.children_between, 0, "0:10",
                 "in place of --children a number drawn for each problem"));
  list.add(
      drawn("token-budget-between", o.token_budget_between, 1, "512:2048",
            "in place of --token-budget a multiple of 512 between these drawn for each problem, "
            "as the demonstrations have it"));
  list.number("condition-share", o.condition_share,
              "how often the children asked for, or --token-budget, stand in front of a prompt",
              share);
  declare_decoding(list, o.decoding, "above 0: greedy trees of a problem are all the same");
  list.not_shown({"top-k", "top-p", "min-p"}); // see check()
  list.retired({"make-up"});
}

void declare_learning(option_list& list, train_rl_options& o) {
  auto& r = o.reward;
  list.group("Reward and credit");
  list.number("reward-tokens", r.total_tokens, "cost of 1,000 tokens of a correct tree",
              in_float32);
  list.number("reward-critical", r.critical_tokens, "cost of 1,000 tokens on its critical path",
              in_float32);
  list.number("reward-threads", r.threads, "cost of a child", in_float32);
  list.number("reward-most", r.most, "all costs together at most", share);
  list.choice("reward-obey", r.obey, {{"on", true}, {"off", false}},
              "a tree beyond the budget in its prompt is worth nothing");
  auto& l = o.rl.learner;
  list.choice("advantage", l.credit.divide_by_std, {{"standard", true}, {"centred", false}},
              "over a group: divided by the standard deviation or not");
  list.choice("credit", l.credit.kind,
              {{"shared", credit_kind::shared}, {"per-thread", credit_kind::per_thread}},
              "all threads of a tree, or those that the outcome is due to");
  list.choice("cancelled", l.credit.cancelled,
              {{"sampled", cancelled_kind::sampled}, {"left-out", cancelled_kind::left_out}},
              "cancelled threads are trained on as far as they were sampled, or not at all");
  list.group("Loss");
  list.number("clip-low", l.loss.clip_low, "the ratio's clip, downwards", share);
  list.number("clip-high", l.loss.clip_high, "the same, upwards", in_float32);
  list.number("kl", l.loss.kl, "weight of the distance to the first weights; 0: none", in_float32);
  list.number("kl-max", l.loss.kl_max, "that distance of a token at most; 0: any", in_float32);
  list.number("importance-cap", l.loss.importance_cap,
              "largest correction from sampling to training; 0: no correction", in_float32);
  list.choice("token-mean", l.mean,
              {{"sequence", token_mean::sequence}, {"batch", token_mean::batch}},
              "over a thread, then over threads and trees; or over all tokens");
  list.number("inner-steps", l.inner_steps, "updates over the same trees", positive);
  list.number("micro-tokens", l.micro_tokens, "tokens through the model at a time", positive);
  list.flag("recompute", l.recompute, "activations again in the backward pass: less memory");
  list.number("gap-trees", o.rl.gap_trees, "trees a step whose logprobs are scored again",
              not_negative);
}

/// Conditions of prompts: one kind, said once.
void check_conditions(const train_rl_options& o) {
  const auto& d = o.decoding;
  if (d.children >= 0 && o.children_between)
    throw bad_usage("--children-between", "--children is given too", "give one of the two");
  if (d.token_budget > 0 && o.token_budget_between)
    throw bad_usage("--token-budget-between", "--token-budget is given too", "give one of the two");
  const bool children = d.children >= 0 || o.children_between;
  const bool tokens = d.token_budget > 0 || o.token_budget_between;
  if (children && tokens)
    throw bad_usage(o.token_budget_between ? "--token-budget-between" : "--token-budget",
                    "children are asked for too, and no demonstration has both",
                    "give one of the two");
  if (o.condition_share < 1 && !children && !tokens)
    throw bad_usage("--condition-share", "there is no condition",
                    "give --children, --token-budget or one of them with -between");
  if (const auto& asked = o.token_budget_between) {
    const auto [first, last] = token_budget_bins(*asked);
    if (first > last)
      throw bad_usage("--token-budget-between " + std::to_string(asked->first) + ":"
                          + std::to_string(asked->second),
                      "no multiple of 512 lies between", "give limits such as 512:2048");
  }
}

void check(const train_rl_options& o) {
  check(o, o.rl);
  refuse_stream("--problems", o.problems);
  if (std::uint64_t{o.rollouts.prompts} * o.rollouts.max_groups > most_groups_a_step)
    throw bad_usage("--prompts times --max-groups",
                    "a step has room for " + std::to_string(most_groups_a_step) + " problems",
                    "make one of them smaller");
  check_conditions(o);
  const auto& r = o.reward;
  if (r.most <= 0 && (r.total_tokens > 0 || r.critical_tokens > 0 || r.threads > 0))
    throw bad_usage("--reward-most", "it is 0, so that no cost counts",
                    "give more, or leave the costs out");
  if (o.decoding.sampling.temperature <= 0)
    throw bad_usage("--temperature", "greedy trees of a problem are all the same",
                    "give one above 0");
  if (o.decoding.sampling.top_k != 0 || o.decoding.sampling.top_p < 1
      || o.decoding.sampling.min_p > 0)
    throw bad_usage("--top-k, --top-p, --min-p",
                    "what they cut off would be missing from the logprobs that are learnt from",
                    "leave them out");
}

} // namespace

train_rl_options::train_rl_options() {
  decoding.sampling.temperature = 1;
  decoding.budget.deadline_s = 120;
  rl.learner.optimizer.kind = optimizer_kind::adamw;
}

std::pair<int, int> token_budget_bins(const std::pair<int, int>& limits) {
  return {limits.first / token_budget_bin + (limits.first % token_budget_bin > 0),
          limits.second / token_budget_bin};
}

option_list declare(train_rl_options& o) {
  option_list list("train rl", "--out DIR [--steps N | --minutes M] [options]", about, examples);
  declare_run(list, o);
  declare_rollouts(list, o);
  declare_learning(list, o);
  declare_optimizer(list, o.rl.schedule, o.rl.learner.optimizer);
  declare(list, o.common);
  return list;
}

void make_absolute(train_rl_options& o) {
  make_absolute(o, o.rl);
  make_absolute(o.problems);
}

bool parse(option_list& list, train_rl_options& o, std::span<const std::string> words) {
  if (!list.parse(words)) return false;
  const auto resumed = read_run_config(list, o.common, o.rl.out, o.resume, o.rl.minutes);
  o.rl.learner.temperature = o.decoding.sampling.temperature;
  check(o);
  constexpr std::array<std::string_view, 2> fixed{"model", "optimizer"};
  o.changed = changes(resumed, resolved_config(list, o), fixed);
  return true;
}

} // namespace banyan
