#include "apps/banyan/commands.hpp"
#include "apps/banyan/rl_reporter.hpp"
#include "apps/banyan/run_service.hpp"
#include "apps/banyan/training.hpp"

#include "actors/config.hpp"
#include "actors/event_hub.hpp"
#include "actors/tree_ids.hpp"
#include "apps/actor_house.hpp"
#include "apps/compute.hpp"
#include "apps/drawn.hpp"
#include "apps/interrupt.hpp"
#include "apps/model_choice.hpp"
#include "apps/plot.hpp"
#include "apps/problem_run.hpp"
#include "apps/rl_options.hpp"
#include "apps/rollout_problems.hpp"
#include "apps/run_config.hpp"
#include "apps/serving/model_facts.hpp"
#include "apps/terminal.hpp"
#include "model/checkpoint.hpp"
#include "model/device.hpp"
#include "model/weights.hpp"
#include "trainer/rollout_labels.hpp"
#include "trainer/store_actor.hpp"
#include "trainer/trainer_actor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <thread>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

namespace banyan {

namespace fs = std::filesystem;

namespace {

using level = common_options::level;

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Half of the cores for training, half for decoding, where both are on the CPU.
int half_of_the_cores() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
}

/// Without --pool-device it is that of --device, which was looked at before.
void require_pool_device(const std::string& device) {
  try {
    require_device(device);
  } catch (const device_unavailable& why) {
    throw device_unavailable(std::string("--pool-device ") + why.what());
  }
}

/// Fills in what was left open, and refuses what this machine does not have.
void settle(train_rl_options& o) {
  if (o.pool_devices.empty()) o.pool_devices = {o.rl.device};
  if (o.threads == 0) o.threads = half_of_the_cores();
  if (o.pool_threads == 0) o.pool_threads = half_of_the_cores();
  require_device(o.rl.device);
  for (const auto& device : o.pool_devices) require_pool_device(device);
  if (!o.listen.empty()) require_listenable(o.listen);
}

/// What a run learns from: problems that the model was made for.
std::vector<listed_problem> given_problems(const train_rl_options& o) {
  if (!o.problems.empty()) return read_problems(o.problems);
  listed_problem drawn; // stands for what will be drawn
  drawn.value.numbers.assign(static_cast<std::size_t>(o.num_numbers), 10);
  drawn.value.target = 10;
  drawn.where = "--numbers " + std::to_string(o.num_numbers);
  return {drawn};
}

/// Trees of others that run beside the rollouts.
constexpr std::size_t places_for_others = 32;

/// How a run ended, told once: by its trainer, or by that one's being gone.
class run_ending {
public:
  using value = std::pair<std::string, run_result>;

  std::future<value> future() { return told_.get_future(); }

  void set(const std::string& why, const run_result& result) {
    if (!done_.exchange(true)) told_.set_value({why, result});
  }

private:
  std::atomic<bool> done_ = false;
  std::promise<value> told_;
};

/// A run with everything around it: pools, node, store, rollouts, trainer.
class rl_command {
public:
  explicit rl_command(train_rl_options& o)
      : options_(o),
        listed_(given_problems(o)),
        chosen_(choose_model(o.resume ? o.rl.out / "last" : o.model, listed_)),
        model_(load_checkpoint(chosen_.folder, dtype::float32, o.rl.device)),
        report_(o.common, told_) {}

  int run(const option_list& list) {
    require_new_run(options_.rl.out, options_.resume);
    if (!options_.resume) require_store_of_run();
    std::vector<problem> given;
    if (!options_.problems.empty())
      for (const auto& p : listed_) given.push_back(p.value);
    const auto problems = to_learn_from(std::move(given));
    if (!options_.resume) options_.model = chosen_.folder;
    const auto config = resolved_config(list, options_);
    auto training = make_run();
    rollout_actor_options rollouts = rollouts_of(*training);
    ask(problems, *training, rollouts);
    try {
      const auto code = live(std::move(training), std::move(rollouts), config);
      tell_left();
      return code;
    } catch (...) {
      tell_left();
      throw;
    }
  }

private:
  /// A daemon keeps its trees for ever, a run as far as --store-megabytes go.
  void require_store_of_run() const {
    if (fs::exists(store_file())
        && holds_trees_of_others(tree_store(store_file(), {.sync = false})))
      throw bad_usage(options_.rl.out.string(), "it holds trees that are not of a run",
                      "give another --out");
  }

  void tell_left() const {
    if (!options_.listen.empty()) tell_unfinished(options_.common, store_file());
  }

  rollout_problems to_learn_from(std::vector<problem> given) const {
    const ends_at_once nothing_begun; // a long look for those that have a solution
    return {options_, std::move(given),
            held_out_problems(options_.exclude, options_.evaluate_problems)};
  }

  /// What is asked for in each place, and which trees answer that already.
  void ask(const rollout_problems& problems, const rl_run& run, rollout_actor_options& r) const {
    const auto ids = std::make_shared<tree_ids>(options_.decoding.sampling.seed);
    const weights_at_hand now{run.makers(), r.oldest_epoch, static_cast<std::uint32_t>(run.step())};
    r.request_for = [&problems, ids, makers = now.makers](
                        const rollout_key& key, const rollout_source& source, std::uint32_t epoch) {
      return problems.request_for(key, source, makers.of(epoch), *ids);
    };
    r.plan.fits = [&problems, now](const rollout_key& key, const rollout_source& source,
                                   const tree& t) { return problems.fits(t, key, source, now); };
  }

  fs::path store_file() const { return options_.rl.out / "trees.db"; }

  std::unique_ptr<rl_run> make_run() {
    auto weights = std::make_shared<model_weights>(
        copy_weights(*model_.weights, dtype::float32, options_.rl.device));
    model_.weights.reset(); // trained are these, and nobody needs more of the others
    auto settings = options_.rl;
    settings.name = tree_ids(drawn_bits()).next(unix_ms_now());
    auto run = std::make_unique<rl_run>(settings, model_.vocabulary, hooks(), std::move(weights));
    if (options_.resume) places_ = run->resume();
    return run;
  }

  rl_hooks hooks() {
    rl_hooks h;
    h.voice = voice_of(options_.common);
    h.on_progress = [this](const rl_progress& p) { report_(p); };
    h.evaluate =
        examination(options_.common, options_.evaluate_problems, chosen_, model_.vocabulary,
                    options_.rl.device, [this](const std::string& line) { told_.tell(line); });
    h.describe = [range = chosen_.range](const fs::path& folder) {
      if (range) write_file_atomically(folder / "banyan.json", to_json(*range));
    };
    return h;
  }

  /// Trees from before a restart are taken over; what was not finished begins anew, and comes out
  /// the same.
  rollout_actor_options rollouts_of(const rl_run& run) {
    rollout_actor_options r;
    r.plan = options_.rollouts;
    r.plan.reward = [costs = options_.reward](const tree& t) { return reward_of(t, costs); };
    // A session ends its tree itself; this is for trees that do not come back.
    r.plan.deadline_s = options_.decoding.budget.deadline_s > 0
                            ? options_.decoding.budget.deadline_s * 1.25 + 5
                            : 1e9;
    r.first_step = run.step();
    r.last_step =
        options_.rl.minutes > 0 ? std::numeric_limits<std::int64_t>::max() : options_.rl.steps;
    r.staleness = options_.rl.staleness;
    r.oldest_epoch = run.published().front().epoch;
    r.policy = options_.policy;
    r.concurrency = options_.decoding.concurrency;
    r.places = places_;
    tree_store store(store_file(), {.sync = false});
    forget_unfinished_rollouts(store);
    if (options_.resume)
      r.known = known_rollouts(store, run.step(), run.step() + options_.rl.staleness,
                               [say = warn()](const damaged_tree& one) {
                                 say(std::string(one.what()) + " (it is rolled out again)");
                               });
    return r;
  }

  std::vector<pool_source> sources(const published_weights& first) const {
    std::vector<pool_source> all;
    for (const auto& device : options_.pool_devices) {
      auto weights = std::make_shared<model_weights>(
          copy_weights(*first.weights, options_.pool_precision, device));
      all.push_back({device,
                     options_.pool_precision,
                     {model_.config, model_.vocabulary, std::move(weights)},
                     options_.pool_threads});
    }
    return all;
  }

  house_options house(std::uint32_t epoch) {
    house_options h;
    h.begin = prompt_begin(chosen_, *model_.vocabulary);
    h.concurrency = places_for_others;
    if (!options_.listen.empty()) h.events = events_;
    h.seed = options_.decoding.sampling.seed;
    h.weights_epoch = epoch;
    h.keep_epochs = static_cast<std::size_t>(options_.rl.staleness);
    h.log = warn();
    h.make_store = [this](caf::actor_system& system) {
      store_actor_options keeping;
      keeping.keep = [bytes = options_.store_megabytes * 1000 * 1000] {
        return retention{.max_bytes = bytes};
      };
      keeping.log = [this](std::string_view line, std::string_view tree) {
        tell(level::warning, line, tree);
      };
      keeping.on_trouble = [health = health_, say = warn()](const std::string& why) {
        health->set(why);
        if (why.empty()) say("the store can be written again");
      };
      tree_store file(store_file(), {.sync = false});
      gauge_ = file.gauge();
      return spawn_store(system, std::move(file), std::move(keeping));
    };
    return h;
  }

  std::function<void(std::string_view)> warn() {
    return
        [this](std::string_view line) { options_.common.log(level::warning, std::string(line)); };
  }

  /// As banyand's log has it.
  void tell(level l, std::string_view line, std::string_view tree) const {
    const auto about = tree.empty() ? "" : "[" + std::string(tree) + "] ";
    options_.common.log(l, about + std::string(line));
  }

  int live(std::unique_ptr<rl_run> training, rollout_actor_options rollouts,
           const std::string& config) {
    const auto ending = std::make_shared<run_ending>();
    auto end = ending->future();
    const auto first = training->published().front();
    actor_house actors(sources(first), house(first.epoch));
    const auto outside = serve(actors); // before there is a run, if it cannot
    keep_config(options_.common, options_.rl.out, config, options_.changed, training->step(),
                training->done());
    if (!options_.resume) training->start();
    trainer_actor_options t;
    t.run = std::move(training);
    const auto rolling = spawn_rollouts(actors.system(), actors.node(), std::move(rollouts));
    t.rollouts = rolling;
    for (std::size_t i = 0; i < actors.pools().size(); ++i)
      t.pools.push_back(
          {actors.pools()[i].actor, options_.pool_devices[i], options_.pool_precision});
    t.os_threads = options_.threads;
    t.log = warn();
    t.on_end = [ending](const std::string& why, const run_result& result) {
      ending->set(why, result);
    };
    actors.add(caf::actor_cast<caf::actor>(rolling));
    const auto trainer = spawn_trainer(actors.system(), std::move(t));
    trainer->attach_functor([ending] { ending->set("the trainer is gone", {}); });
    actors.add(caf::actor_cast<caf::actor>(trainer));
    while (end.wait_for(50ms) != std::future_status::ready) {
      look_at(actors.system(), rolling, trainer);
      if (outside) outside->look();
      if ((interrupted() != 0 || told_.is_unheard()) && !std::exchange(asked_to_stop_, true))
        caf::anon_send(trainer, atom::drain_v);
    }
    const auto [why, result] = end.get();
    if (outside) outside->close();
    if (!why.empty()) throw broken_off(options_.rl.out, why);
    report_.finish();
    told_.check();
    return end_of_run(options_.common, options_.rl.out, "train rl", result, plot_rl, "curve.svg");
  }

  /// Once a second.
  void look_at(caf::actor_system& system, const rollout_actor& rolling,
               const trainer_actor& trainer) {
    if (options_.common.quiet || options_.common.json || clock::now() < next_look_) return;
    next_look_ = clock::now() + 1s;
    const caf::scoped_actor self(system);
    bool trains = true; // or it has time to answer; also where it evaluates and saves
    self->request(trainer, 100ms, atom::status_v)
        .receive([&](const trainer_status& now) { trains = now.phase == trainer_phase::learning; },
                 [](const caf::error&) {});
    self->request(rolling, 1s, atom::status_v)
        .receive([&](const rollout_status& now) { report_.meanwhile(now, trains); },
                 [](const caf::error&) {}); // it is about to end
  }

  /// The same node, pools and store for others; nothing where nobody may come.
  std::unique_ptr<run_service> serve(actor_house& actors) {
    if (options_.listen.empty()) return {};
    forest_options trees;
    trees.store = store_file();
    trees.gauge = gauge_;
    trees.health = health_;
    trees.range = chosen_.range;
    trees.model = facts_of(chosen_, model_);
    trees.model.folder = fs::absolute(options_.rl.out / "last").lexically_normal().string();
    trees.model.name = model_name(trees.model.folder);
    trees.events = events_;
    trees.version = BANYAN_VERSION;
    trees.seed = options_.decoding.sampling.seed + 1;
    trees.log = [this](level l, std::string_view line, std::string_view tree) {
      tell(l, line, tree);
    };
    return std::make_unique<run_service>(actors, options_.common, options_.listen,
                                         std::move(trees));
  }

  train_rl_options& options_;
  std::shared_ptr<event_hub> events_ = std::make_shared<event_hub>();
  std::shared_ptr<const store_gauge> gauge_;
  std::shared_ptr<store_health> health_ = std::make_shared<store_health>();
  std::vector<listed_problem> listed_;
  model_choice chosen_;
  checkpoint model_;
  told_lines told_;
  rl_reporter report_;
  problem_places places_;
  bool asked_to_stop_ = false;
  clock::time_point next_look_{};
};

} // namespace

int train_rl(command_words words) {
  train_rl_options o;
  auto list = declare(o);
  if (!parse(list, o, words)) return exit_done;
  settle(o);
  keep_freed_memory();
  try {
    return rl_command(o).run(list);
  } catch (const bad_reference&) {
    throw;
  } catch (const bad_checkpoint& why) {
    if (!o.resume) throw;
    refuse_checkpoint(o.rl.out, why);
  }
}

} // namespace banyan
