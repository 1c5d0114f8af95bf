#include "apps/rl_options.hpp"
#include "apps/sft_options.hpp"

#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using rl = const train_rl_options&;
using sft = const train_sft_options&;

template <class Options, class Field>
using value_of = std::decay_t<std::invoke_result_t<Field, const Options&>>;

/// The option's values, each with what the field is after it.
template <class Options, class Field>
void check_read(const std::string& option, Field field,
                std::initializer_list<std::pair<const char*, value_of<Options, Field>>> expected) {
  for (const auto& [text, value] : expected) {
    INFO(option << " " << text);
    Options o;
    auto list = declare(o);
    REQUIRE(parse(list, o, std::vector<std::string>{"--out", "run", option, text}));
    CHECK(field(o) == value);
  }
}

/// The same for `banyan train rl`.
template <class Field>
void check_rl(
    const std::string& option, Field field,
    std::initializer_list<std::pair<const char*, value_of<train_rl_options, Field>>> expected) {
  check_read<train_rl_options>(option, field, expected);
}

TEST_CASE("a choice of reinforcement learning is what its words say", "[apps]") {
  check_rl("--dynamic-sampling", [](rl o) { return o.rollouts.dynamic_sampling; },
           {{"on", true}, {"off", false}});
  check_rl("--in-flight", [](rl o) { return o.policy; },
           {{"finish", in_flight::finish}, {"go-on", in_flight::go_on}});
  check_rl("--reward-obey", [](rl o) { return o.reward.obey; }, {{"on", true}, {"off", false}});
  check_rl("--advantage", [](rl o) { return o.rl.learner.credit.divide_by_std; },
           {{"standard", true}, {"centred", false}});
  check_rl("--credit", [](rl o) { return o.rl.learner.credit.kind; },
           {{"shared", credit_kind::shared}, {"per-thread", credit_kind::per_thread}});
  check_rl("--cancelled", [](rl o) { return o.rl.learner.credit.cancelled; },
           {{"sampled", cancelled_kind::sampled}, {"left-out", cancelled_kind::left_out}});
  check_rl("--token-mean", [](rl o) { return o.rl.learner.mean; },
           {{"sequence", token_mean::sequence}, {"batch", token_mean::batch}});
  check_rl("--optimizer", [](rl o) { return o.rl.learner.optimizer.kind; },
           {{"muon", optimizer_kind::muon}, {"adamw", optimizer_kind::adamw}});
  check_rl(
      "--decay", [](rl o) { return o.rl.schedule.decay; },
      {{"none", decay_kind::none}, {"linear", decay_kind::linear}, {"cosine", decay_kind::cosine}});
}

TEST_CASE("each precision of reinforcement learning is its own", "[apps]") {
  const auto check = [](const char* option, auto field) {
    check_rl(option, field, {{"float32", dtype::float32}, {"bfloat16", dtype::bfloat16}});
  };
  check("--dtype", [](rl o) { return o.rl.learner.compute; });
  check("--pool-dtype", [](rl o) { return o.pool_precision; });
  check("--muon-dtype", [](rl o) { return o.rl.learner.optimizer.compute; });
}

TEST_CASE("a number of reinforcement learning goes where its name says", "[apps]") {
  check_rl("--staleness", [](rl o) { return o.rl.staleness; }, {{"5", 5}});
  check_rl("--gap-trees", [](rl o) { return o.rl.gap_trees; }, {{"7", 7}});
  check_rl("--inner-steps", [](rl o) { return o.rl.learner.inner_steps; }, {{"3", 3}});
  check_rl("--micro-tokens", [](rl o) { return o.rl.learner.micro_tokens; }, {{"999", 999}});
  check_rl("--clip-low", [](rl o) { return o.rl.learner.loss.clip_low; }, {{"0.125", 0.125}});
  check_rl("--clip-high", [](rl o) { return o.rl.learner.loss.clip_high; }, {{"0.375", 0.375}});
  check_rl("--kl", [](rl o) { return o.rl.learner.loss.kl; }, {{"0.5", 0.5}});
  check_rl("--kl-max", [](rl o) { return o.rl.learner.loss.kl_max; }, {{"4", 4}});
  check_rl("--importance-cap", [](rl o) { return o.rl.learner.loss.importance_cap; }, {{"6", 6}});
  check_rl("--reward-tokens", [](rl o) { return o.reward.total_tokens; }, {{"0.25", 0.25}});
  check_rl("--reward-critical", [](rl o) { return o.reward.critical_tokens; }, {{"0.5", 0.5}});
  check_rl("--reward-threads", [](rl o) { return o.reward.threads; }, {{"0.125", 0.125}});
  check_rl("--reward-most", [](rl o) { return o.reward.most; }, {{"0.75", 0.75}});
  check_rl("--max-rounds", [](rl o) { return o.decoding.budget.max_rounds; }, {{"9", 9}});
  check_rl("--max-tree-tokens", [](rl o) { return o.decoding.budget.max_tree_tokens; },
           {{"12345678901", 12'345'678'901}});
  check_rl("--store-megabytes", [](rl o) { return o.store_megabytes; }, {{"77", 77}});
}

TEST_CASE("the share of rounds joined at their first success is one of demonstrations", "[apps]") {
  check_read<train_sft_options>("--first-success-share",
                                [](sft o) { return o.sft.curriculum.search.first_success_share; },
                                {{"0.25", 0.25}});
}

} // namespace
} // namespace banyan
