#include "actors/config.hpp"
#include "actors/node.hpp"
#include "gpu_pool/pool.hpp"
#include "model/checkpoint.hpp"
#include "model/safetensors.hpp"
#include "model/tokenizer.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"
#include "solver/trace.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/sampled_tree.hpp"
#include "tests/scratch_folder.hpp"
#include "tests/stored_trees.hpp"
#include "trainer/rollout_actor.hpp"
#include "trainer/trainer_actor.hpp"

#include <fstream>
#include <limits>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <catch2/catch.hpp>

using namespace banyan;
namespace fs = std::filesystem;

namespace {

/// Whatever the model says: its first token decides.
double first_token(const tree& t) {
  const auto& segments = t.root().segments;
  return segments.size() > 1 && !segments[1].ids.empty() ? double(segments[1].ids[0] % 3) / 2 : 0;
}

std::vector<nlohmann::json> log_of(const fs::path& out) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(out / "log.jsonl");
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// What must not depend on when and how often a run was interrupted.
std::vector<nlohmann::json> essence(const fs::path& out) {
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
  tree_store_actor store;
  node_actor node;
  rollout_actor rolling;
  trainer_actor learning;
  std::optional<std::string> ended;
  sft_result result;
  std::vector<std::string> told; ///< the trainer's log

  explicit training(const fs::path& out) {
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
    rollouts.request_for = [](const rollout_key& key, const rollout_source& source) {
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
    auto run = std::make_unique<rl_run>(options, vocabulary, hooks, weights());
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
    store = sys.spawn(store_stub, kept);
    node_options n;
    n.reasoning.codec = {
        [v = vocabulary](std::string_view text) { return v->encode(text); },
        [v = vocabulary](std::span<const std::int32_t> ids) { return v->decode(ids); },
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
    t.on_end = [this](const std::string& why, const sft_result& how) {
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

/// A node that answers every request with a tree of the test's making.
node_actor fake_node(caf::actor_system& sys, std::function<tree(const solve_request&)> solve) {
  return sys.spawn(
      [solve = std::move(solve)](node_actor::pointer self) -> node_actor::behavior_type {
        self->set_default_handler(caf::drop);
        return {
            [solve](const solve_request& r) {
              auto t = std::make_shared<tree>(solve(r));
              t->id = r.id;
              return finished_tree{std::move(t)};
            },
            [](const accept_request&) -> caf::result<accepted_tree> { return errc::bad_request; },
            [](const tree_work&) {},
            [](const tree_boundary&) {},
            [](const tree_state&) { return stored{}; },
            [](const steer_request&) -> caf::result<tree_status> { return errc::not_found; },
            [](const watch_request&) {},
            [](const cancel_request&) {},
            [](const tree_request&) -> caf::result<tree_status> { return errc::not_found; },
            [](const thread_request&) -> caf::result<thread_status> { return errc::not_found; },
            [](const finished_tree&) { return stored{}; },
            [](atom::drain) {},
            [](atom::park) {},
            [](atom::status) { return node_status{}; },
        };
      });
}

/// Training over trees of the test's making, without a pool.
struct made_up_training : training {
  using training::training;

  void start_with(std::function<tree(const solve_request&)> solve) {
    node = fake_node(sys, std::move(solve));
    start_over(make_run(false), {});
    run();
  }
};

tree good_or_bad(const tokenizer& vocabulary, const solve_request& r) {
  auto t = sampled_demonstration(vocabulary, r.sampling.seed);
  t.phase = tree_phase::done;
  t.outcome.solved = r.sampling.seed % 2 == 0;
  return t;
}

} // namespace

TEST_CASE("a run learns from the trees of its node step after step", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  for (std::size_t i = 0; i < log.size(); ++i) {
    CHECK(log[i].at("step") == i + 1);
    // Step 0 is sampled with epoch 0, every later one with the epoch before.
    CHECK(log[i].at("staleness_mean") == (i == 0 ? 0 : 1));
    CHECK(log[i].at("grad_norm").get<double>() > 0);
    CHECK(log[i].at("logprob_gap_max").get<double>() < 1e-4);
    CHECK(log[i].at("groups").at("informative") == 2);
  }
  CHECK(fs::exists(out.path() / "last" / "model.safetensors"));
  for (const auto& done : t.kept->finished)
    for (const auto& s : done.value->root().segments)
      for (auto epoch : s.epochs) CHECK(epoch == done.value->weights_epoch);
}

TEST_CASE("without staleness every step is sampled with its own weights", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.staleness = 0;
  t.start();
  t.run();
  for (const auto& line : log_of(out.path())) CHECK(line.at("staleness_mean") == 0);
}

TEST_CASE("a killed run that goes on has the losses of one that was not killed", "[trainer]") {
  scratch_folder whole;
  training undisturbed(whole.path());
  undisturbed.options.learner.loss.kl = 0.1;
  undisturbed.start();
  undisturbed.run();
  const auto expected = essence(whole.path());
  REQUIRE(expected.size() == 4);
  for (const int more : {0, 7, 40, 150}) {
    scratch_folder out;
    auto kept = std::make_shared<stored_trees>();
    {
      training first(out.path());
      first.options.learner.loss.kl = 0.1;
      first.kept = kept;
      first.start();
      first.run_until(2, more);
    }
    training second(out.path());
    second.options.learner.loss.kl = 0.1;
    for (const auto& done : kept->finished) {
      rollout_key key;
      REQUIRE(std::sscanf(done.value->id.c_str(), "%ld.%u.%u.%u", &key.step, &key.group,
                          &key.member, &key.attempt)
              == 4);
      if (key.step >= 2 && done.value->weights_epoch <= 2)
        second.rollouts.known.emplace_back(key, done.value);
    }
    second.start(true);
    second.run();
    REQUIRE(second.ended == "");
    CHECK(essence(out.path()) == expected);
  }
}

TEST_CASE("trees that the machine failed are rolled out again", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 1;
  t.rollouts.plan.reward = [](const tree& x) { return double(x.outcome.solved); };
  t.start_with([&t](const solve_request& r) {
    auto made = good_or_bad(*t.vocabulary, r);
    if (r.id.ends_with(".0.0")) made.failure = errc::pool_lost; // first attempt of first members
    return made;
  });
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  CHECK(log.at(0).at("repeated") == 2);
  CHECK(log.at(0).at("groups").at("dropped") == 0);
}

TEST_CASE("a store that refuses for a while costs no tree and no attempt", "[trainer]") {
  scratch_folder undisturbed, disturbed;
  training whole(undisturbed.path());
  whole.start();
  whole.run();
  training t(disturbed.path());
  t.rollouts.plan.max_attempts = 1;
  t.start();
  t.kept->fails = true;
  t.run_until(2, 0);
  const auto stored_then = t.kept->finished.size();
  t.kept->fails = false;
  t.run();
  REQUIRE(t.ended == "");
  CHECK(stored_then == 0);
  CHECK_FALSE(t.kept->finished.empty());
  CHECK(essence(disturbed.path()) == essence(undisturbed.path()));
}

TEST_CASE("a step of which no tree can be rolled out ends the run", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.start_with([&t](const solve_request& r) {
    auto made = good_or_bad(*t.vocabulary, r);
    made.failure = errc::pool_lost;
    return made;
  });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("step 0") && Catch::Contains("rolled out"));
  CHECK(t.result.step == 0);
}

TEST_CASE("steps whose loss is not finite are skipped and end the run in the end", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 100;
  t.options.max_bad_steps = 3;
  t.rollouts.plan.reward = [](const tree& x) { return double(x.outcome.solved); };
  t.start_with([&t](const solve_request& r) {
    auto made = good_or_bad(*t.vocabulary, r);
    made.threads[0].segments[1].logprobs[0] = std::numeric_limits<float>::quiet_NaN();
    return made;
  });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("not finite"));
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 3);
  CHECK(log.back().at("skipped") == 3);
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding)); // as they were
}

TEST_CASE("a trainer that is asked to stop writes a checkpoint and leaves", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.checkpoint_every = 0;
  t.start();
  t.run_until(1, 3);
  caf::anon_send(t.learning, atom::drain_v);
  t.run();
  REQUIRE(t.ended == "");
  CHECK_FALSE(t.result.finished);
  CHECK(fs::exists(out.path() / "last" / "trainer.json"));
}

TEST_CASE("a run whose node is gone says so", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.start();
  t.run_until(1, 0);
  t.end(t.node);
  t.run();
  REQUIRE(t.ended);
  CHECK_FALSE(t.ended->empty());
  CHECK(t.result.step >= 1);
}

TEST_CASE("a run whose only pool is lost keeps what it learnt", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.checkpoint_every = 0;
  t.start();
  t.run_until(2, 0);
  const auto learnt = log_of(out.path()).size();
  t.end(t.pools[0]);
  t.run();
  REQUIRE(t.ended);
  CHECK_FALSE(t.ended->empty());
  std::ifstream saved(out.path() / "last" / "trainer.json");
  const auto step = nlohmann::json::parse(saved).at("step");
  CHECK(step >= learnt);
  CHECK(log_of(out.path()).back().at("step") == step); // also where it broke off while publishing
}

TEST_CASE("a run goes on with the pools that are left", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.num_pools = 2;
  t.start();
  t.run_until(1, 0);
  t.end(t.pools[1]);
  t.run();
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  CHECK(log_of(out.path()).size() == 4);
  REQUIRE(t.told.size() == 1);
  CHECK_THAT(t.told[0], Catch::Contains("a pool on cpu did not take the weights of epoch"));
}

TEST_CASE("a pool that does not take weights ends so that nobody samples from old ones",
          "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.rollouts.policy = in_flight::go_on;
  t.num_pools = 2;
  t.start();
  t.run_until(1, 0);
  // From now on everything that the trainer has comes too late for it.
  auto far_ahead = std::make_shared<transformer>(t.weights());
  far_ahead->prepare();
  t.self->send(t.pools[1], weights_ready{1'000'000, far_ahead, {}});
  t.run();
  REQUIRE(t.ended == "");
  auto reply = t.self->request(t.pools[1], caf::infinite, atom::status_v);
  t.run();
  CHECK_FALSE(deterministic_system::take<pool_status>(reply));
  CHECK(t.told.size() == 1);
}

TEST_CASE("a checkpoint of another shape is not resumed", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.options.steps = 1;
    t.start();
    t.run();
  }
  auto other = tiny_model(*countdown_tokenizer());
  other.intermediate_size = 64;
  rl_options o;
  o.out = out.path();
  rl_run run(o, countdown_tokenizer(), {},
             std::make_shared<model_weights>(random_weights(other, 1)));
  CHECK_THROWS_AS(run.resume(), bad_checkpoint);
}

TEST_CASE("a reference of another shape is told and not learnt against", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.options.steps = 1;
    t.start();
    t.run();
  }
  const auto vocabulary = countdown_tokenizer();
  auto other = tiny_model(*vocabulary);
  std::swap(other.intermediate_size, other.hidden_size); // as many numbers, in another order
  other.num_layers = 2;
  fs::remove_all(out / "reference");
  save_checkpoint(out / "reference", random_weights(other, 1), *vocabulary);
  training t(out.path());
  CHECK_THROWS_WITH(t.make_run(true), Catch::Contains("reference/config.json: another shape"));
}

TEST_CASE("a run without its reference names the checkpoints that are left", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.options.steps = 1;
    t.start();
    t.run();
  }
  fs::remove_all(out / "reference");
  training t(out.path());
  CHECK_THROWS_WITH(t.make_run(true),
                    Catch::Contains("reference: ") && Catch::Contains("step-000001"));
}

TEST_CASE("weights that an update made useless are undone and never published", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.schedule.rate = 1e36;
  t.options.max_bad_steps = 2;
  t.options.steps = 100;
  t.start();
  t.run();
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("weights") && Catch::Contains("not finite"));
  CHECK(log_of(out.path()).size() == 2);
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding));
}

TEST_CASE("what is saved after steps that were undone is what was there before them", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.schedule.rate = 1e36;
  t.options.steps = 2;
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  REQUIRE(t.result.skipped == 2);
  const auto last = load_checkpoint(out.path() / "last", dtype::float32);
  CHECK(at::equal(last.weights->embedding, t.weights()->embedding));
  const auto optimizer = map_safetensors(out.path() / "last" / "trainer.safetensors").tensors;
  REQUIRE(optimizer.size() > 1);
  for (const auto& [name, value] : optimizer) {
    INFO(name);
    CHECK(value.abs().sum().item<double>() == 0);
  }
}

TEST_CASE("a step that teaches nothing says nothing about bad ones", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  t.options.steps = 100;
  t.options.max_bad_steps = 2;
  t.rollouts.plan.reward = [](const tree& x) {
    return x.id.starts_with("1.") ? 1 : double(x.outcome.solved); // nothing to learn in step 1
  };
  t.start_with([&t](const solve_request& r) {
    auto made = good_or_bad(*t.vocabulary, r);
    made.threads[0].segments[1].logprobs[0] = std::numeric_limits<float>::quiet_NaN();
    return made;
  });
  REQUIRE(t.ended);
  CHECK_THAT(*t.ended, Catch::Contains("the loss is not finite"));
  CHECK(log_of(out.path()).size() == 3);
}

TEST_CASE("a step that teaches nothing has no figures of learning but the gap", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 1;
  t.rollouts.plan.reward = [](const tree&) { return 1; };
  t.start();
  t.run();
  const auto line = log_of(out.path()).at(0);
  for (const auto* name : {"loss", "grad_norm", "kl", "kl_max", "entropy", "clip_share",
                           "importance_mean", "staleness_mean"})
    CHECK(line.at(name).is_null());
  CHECK(line.at("logprob_gap_max").get<double>() > 0);
  CHECK(line.at("logprob_gap_max").get<double>() < 1e-4);
}

TEST_CASE("a group without variance is not informative though it is trained on", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 1;
  t.rollouts.plan.dynamic_sampling = false;
  t.rollouts.plan.reward = [](const tree& x) {
    return x.id.starts_with("0.0.") ? 1
                                    : double(x.id.ends_with("0.0")); // members of group 1 differ
  };
  t.start();
  t.run();
  const auto line = log_of(out.path()).at(0);
  CHECK(line.at("groups").at("all") == 2);
  CHECK(line.at("groups").at("informative") == 1);
}

TEST_CASE("a run that learns nothing says so once", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 5;
  t.rollouts.plan.max_groups = 1;
  t.rollouts.plan.reward = [](const tree&) { return 1; };
  std::vector<std::string> said;
  t.options.learner.log = [&said](std::string_view line) { said.emplace_back(line); };
  t.start();
  t.run();
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::StartsWith("step 3: in none of the last 3 steps")
                          && Catch::Contains("--problems"));
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 5);
  for (const std::size_t i : {0, 1, 3, 4}) CHECK_FALSE(log[i].contains("warning"));
  CHECK(log[2].at("warning") == said[0]);
}

TEST_CASE("a step whose time is over before it begins is not begun", "[trainer]") {
  scratch_folder out;
  made_up_training t(out.path());
  double now_s = 0;
  int evaluations = 0;
  t.options.minutes = 1;
  t.options.staleness = 0;
  t.options.evaluate_every = 100;
  t.options.schedule.decay = decay_kind::linear;
  t.rollouts.plan.reward = [](const tree& x) { return double(x.outcome.solved); };
  t.hooks.seconds = [&now_s] { return now_s; };
  t.hooks.evaluate = [&evaluations](const model_weights&) { return ++evaluations, "{}"; };
  std::vector<double> seen;
  t.hooks.on_progress = [&seen](const rl_progress& p) { seen.push_back(p.progress); };
  t.start_with([&](const solve_request& r) {
    now_s += 4;
    return good_or_bad(*t.vocabulary, r);
  });
  REQUIRE(t.ended == "");
  CHECK(t.result.finished);
  CHECK(now_s >= 60);
  CHECK(evaluations == 1);
  const auto log = log_of(out.path());
  REQUIRE(log.size() >= 2); // the last one is the evaluation
  for (std::size_t i = 0; i + 1 < log.size(); ++i) CHECK(log[i].at("lr").get<double>() > 0);
  CHECK(t.result.last.filename() == "step-00000" + std::to_string(log.size() - 1));
  CHECK(seen.back() < 1);
}

TEST_CASE("progress has the step in it that it is told after", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.steps = 2;
  std::vector<double> seen;
  t.hooks.on_progress = [&seen](const rl_progress& p) { seen.push_back(p.progress); };
  t.start();
  t.run();
  CHECK(seen == std::vector<double>{0.5, 1});
}

TEST_CASE("a run whose trees go on with new weights learns from them to the end", "[trainer]") {
  scratch_folder out;
  training t(out.path());
  t.options.staleness = 2;
  t.options.gap_trees = 100;
  t.rollouts.policy = in_flight::go_on;
  t.start();
  t.run();
  REQUIRE(t.ended == "");
  const auto log = log_of(out.path());
  REQUIRE(log.size() == 4);
  for (const auto& line : log) CHECK(line.at("logprob_gap_max").get<double>() < 1e-4);
}

TEST_CASE("a trainer that cannot begin says so", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.start();
    t.run_until(2, 0);
  }
  training again(out.path());
  again.target_device = "nowhere";
  again.start(true);
  again.run();
  REQUIRE(again.ended);
  CHECK_FALSE(again.ended->empty());
}

TEST_CASE("a run goes on with another staleness", "[trainer]") {
  for (const std::int64_t staleness : {0, 3}) {
    scratch_folder out;
    {
      training t(out.path());
      t.start();
      t.run_until(2, 0);
    }
    training again(out.path());
    again.options.staleness = staleness;
    again.start(true);
    again.run();
    REQUIRE(again.ended == "");
    CHECK(again.result.finished);
    for (const auto& line : log_of(out.path())) CHECK(line.at("groups").at("dropped") == 0);
  }
}

TEST_CASE("a step and epochs that do not fit each other are damage", "[trainer]") {
  scratch_folder out;
  {
    training t(out.path());
    t.options.steps = 2;
    t.start();
    t.run();
  }
  const auto file = out.path() / "last" / "trainer.json";
  nlohmann::json whole;
  std::ifstream(file) >> whole;
  const auto refused = [&](const char* name, const nlohmann::json& value) {
    auto damaged = whole;
    damaged[name] = value;
    std::ofstream(file) << damaged;
    training t(out.path());
    CHECK_THROWS_WITH(t.make_run(true), Catch::Contains("trainer.json"));
  };
  refused("step", -5);
  refused("epochs", nlohmann::json::array());
  refused("epochs", {2, 1});
}
