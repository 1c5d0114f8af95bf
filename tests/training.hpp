#pragma once

#include "actors/config.hpp"
#include "actors/node.hpp"
#include "gpu_pool/pool.hpp"
#include "model/checkpoint.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "solver/trace.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/sampled_tree.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/stored_trees.hpp"
#include "trainer/rollout_actor.hpp"
#include "trainer/trainer_actor.hpp"

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

namespace banyan {

/// Whatever the model says: its first token decides.
inline double first_token(const tree& t) {
  const auto& segments = t.root().segments;
  return segments.size() > 1 && !segments[1].ids.empty() ? double(segments[1].ids[0] % 3) / 2 : 0;
}

inline std::vector<nlohmann::json> log_of(const std::filesystem::path& out) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(out / "log.jsonl");
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// What must not depend on when and how often a run was interrupted.
inline std::vector<nlohmann::json> essence(const std::filesystem::path& out) {
  auto lines = log_of(out);
  for (auto& j : lines)
    for (const auto* name : {"elapsed_s", "tokens_per_s", "rollout_s", "wait_s", "train_s",
                             "publish_ms", "publish_wait_ms", "swap_ms", "pool_idle"})
      j.erase(name);
  return lines;
}

/// A pool, a node, rollouts and a trainer under one hand-cranked scheduler.
struct training : deterministic_system {
  std::shared_ptr<const tokenizer> vocabulary = countdown_tokenizer();
  std::shared_ptr<stored_trees> kept = std::make_shared<stored_trees>();
  rl_options options;
  rl_hooks hooks;
  rollout_actor_options rollouts;
  std::size_t num_pools = 1;
  std::string target_device = "cpu"; ///< what the trainer takes pools to be on
  std::vector<pool_actor> pools;
  tree_store_actor store; ///< a stub, unless a test gives another
  node_actor node;
  rollout_actor rolling;
  trainer_actor learning;
  std::shared_ptr<model_weights> trained; ///< changed in place
  std::optional<std::string> ended;
  run_result result;
  std::vector<std::string> told; ///< the trainer's log

  explicit training(const std::filesystem::path& out) {
    at::set_num_threads(1);
    options.out = out;
    options.steps = 4;
    options.checkpoint_every = 1;
    options.schedule = {.rate = 1e-3, .warmup = 0, .decay = decay_kind::none};
    options.learner.optimizer.kind = optimizer_kind::adamw;
    rollouts.plan.prompts = 2;
    rollouts.plan.group = 3;
    rollouts.plan.max_groups = 4;
    rollouts.plan.reward = first_token;
    rollouts.request_for = [](const rollout_key& key, const rollout_source& source, std::uint32_t) {
      solve_request r;
      r.problem = {{source.step + 3, std::int64_t{source.group} + 2, 7}, 20};
      r.prompt = root_prompt(r.problem);
      r.id = std::to_string(key.step) + "." + std::to_string(key.group) + "."
             + std::to_string(key.member) + "." + std::to_string(key.attempt);
      r.sampling = {.temperature = 1,
                    .seed =
                        static_cast<std::uint64_t>(1000 * key.step + 10 * key.group + key.member)};
      r.budget.max_tokens = 5;
      return r;
    };
  }

  ~training() {
    end_all();
    at::set_num_threads(1);
  }

  std::shared_ptr<model_weights> weights() const {
    return std::make_shared<model_weights>(random_weights(tiny_model(*vocabulary), 7));
  }

  std::unique_ptr<rl_run> make_run(bool resume) {
    trained = weights();
    auto run = std::make_unique<rl_run>(options, vocabulary, hooks, trained);
    if (resume)
      rollouts.places = run->resume();
    else
      run->start();
    return run;
  }

  void start(bool resume = false) {
    auto run = make_run(resume);
    const auto first = run->published().front();
    pool_options settings;
    settings.weights_epoch = first.epoch;
    settings.keep_epochs = static_cast<std::size_t>(options.staleness);
    const checkpoint model{tiny_model(*vocabulary), vocabulary, first.weights};
    for (std::size_t i = 0; i < num_pools; ++i)
      pools.push_back(spawn_pool(sys, settings, model, false));
    if (!store) store = sys.spawn(store_stub, kept);
    node_options n;
    n.reasoning.codec = {
        [v = vocabulary](std::string_view text) { return v->encode(text); },
        [v = vocabulary](std::string_view text) { return v->encode_continuation(text); },
        [v = vocabulary](std::span<const std::int32_t> ids) { return v->decode(ids); },
        [v = vocabulary](std::int32_t id) { return std::string(v->piece(id)); },
        {}};
    n.reasoning.unix_ms = unix_ms();
    for (const auto& pool : pools)
      n.pools.push_back({"cpu:" + std::to_string(n.pools.size()), pool});
    n.store = store;
    node = spawn_node(sys, std::move(n));
    std::vector<weights_target> targets;
    for (const auto& pool : pools) targets.push_back({pool, target_device});
    start_over(std::move(run), std::move(targets));
  }

  void start_over(std::unique_ptr<rl_run> run, std::vector<weights_target> targets) {
    rollouts.first_step = run->step();
    rollouts.last_step = options.steps;
    rollouts.staleness = options.staleness;
    rollouts.oldest_epoch = run->published().front().epoch;
    rolling = spawn_rollouts(sys, node, rollouts);
    trainer_actor_options t;
    t.run = std::move(run);
    t.rollouts = rolling;
    t.pools = std::move(targets);
    t.log = [this](std::string_view line) { told.emplace_back(line); };
    t.on_end = [this](const std::string& why, const run_result& how) {
      ended = why;
      result = how;
    };
    learning = spawn_trainer(sys, std::move(t), false);
  }

  /// One job after the other until the log has so many steps; then as many more as given.
  void run_until(std::size_t steps, int more) {
    while (log_of(options.out).size() < steps && scheduler().try_run_once()) {
    }
    while (more-- > 0 && scheduler().try_run_once()) {
    }
  }

  /// As a process that is killed: nothing is drained, nothing is saved.
  void end_all() {
    if (learning) end(learning);
    if (rolling) end(rolling);
    learning = nullptr;
    rolling = nullptr;
    if (node) end(node);
    node = nullptr;
    for (const auto& pool : pools) end(pool);
    pools.clear();
    if (store) end(store);
    store = nullptr;
  }
};

} // namespace banyan
