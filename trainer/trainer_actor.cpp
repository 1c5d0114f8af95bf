#include "trainer/trainer_actor.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <chrono>
#include <exception>
#include <map>
#include <utility>

#include <ATen/Parallel.h>
#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

namespace {

using clock = std::chrono::steady_clock;

/// A step of rollouts has deadlines of its own; this is for one that hangs for good.
constexpr caf::timespan patience_with_rollouts = std::chrono::hours(24);
constexpr caf::timespan patience_with_pools = std::chrono::minutes(10);
constexpr caf::timespan patience_with_status = std::chrono::seconds(30);

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

struct trainer_state {
  static inline const char* name = "banyan.trainer";
  using doing = trainer_status::doing;
  using placement = std::pair<std::string, dtype>; ///< device and precision

  explicit trainer_state(trainer_actor::stateful_pointer<trainer_state> self) : self(self) {}

  void begin(std::shared_ptr<trainer_actor_options> given) {
    options = std::move(given);
    self->monitor(options->rollouts);
    if (options->os_threads > 0) at::set_num_threads(options->os_threads);
    what = doing::publishing;
    auto known = run().published();
    known.erase(known.begin());
    const auto start = [this] {
      measured = clock::now();
      next();
    };
    if (!known.empty()) return send_out(std::move(known), start);
    self->send(options->rollouts, weights_published{static_cast<std::uint32_t>(run().step())});
    start();
  }

  rl_run& run() { return *options->run; }

  // ---- a step: wait, learn, publish, finish ----

  void next() {
    if (run().done()) return end({});
    if (stopping) return park();
    what = doing::waiting;
    since = clock::now();
    self->request(options->rollouts, patience_with_rollouts, group_request{run().step()})
        .then([this](const tree_groups& groups) { guarded([&] { learn(groups); }); },
              [this](caf::error& why) {
                break_off("rollouts broke off: " + self->system().render(why));
              });
  }

  void learn(const tree_groups& groups) {
    if (what == doing::ended) return;
    what = doing::learning;
    around = {.rollout_s = groups.rollout_s, .wait_s = seconds_since(since)};
    run().begin(*groups.value);
    self->send(self, atom::step_v);
  }

  void step() {
    if (what != doing::learning) return;
    if (run().advance()) return self->send(self, atom::step_v);
    what = doing::publishing;
    since = clock::now();
    send_out({run().publish()}, [this] { finish(); });
  }

  void finish() {
    around.publish_wait_ms = 1000 * seconds_since(since) - around.publish_ms;
    measure_idle([this] {
      run().finish(around);
      next();
    });
  }

  // ---- weights ----

  /// To all pools, epoch after epoch; `done` is called when all have taken them.
  void send_out(std::vector<published_weights> epochs, std::function<void()> done) {
    auto open = std::make_shared<std::size_t>(epochs.size() * options->pools.size());
    auto all_have_them = [this, last = epochs.back().epoch, done] {
      if (what == doing::ended) return;
      self->send(options->rollouts, weights_published{last});
      guarded(done);
    };
    auto taken = [this, open, all_have_them](double swap_ms) {
      around.swap_ms = std::max(around.swap_ms, swap_ms);
      if (--*open == 0) all_have_them();
    };
    if (*open == 0) all_have_them();
    for (const auto& published : epochs) {
      const auto ready = made_ready(published.weights);
      for (std::size_t i = 0; i < options->pools.size(); ++i)
        self->request(options->pools[i].pool, patience_with_pools,
                      weights_ready{published.epoch, ready[i], {}})
            .then([taken](const weights_taken& reply) { taken(reply.swap_ms); },
                  [this, taken, pool = options->pools[i].pool](caf::error& why) {
                    lose(pool, self->system().render(why));
                    taken(0);
                  });
    }
    around.publish_ms = 1000 * seconds_since(since);
  }

  /// The others go on; without any there is nothing to train for.
  void lose(const pool_actor& pool, const std::string& why) {
    std::erase_if(options->pools, [&](const weights_target& t) { return t.pool == pool; });
    if (options->pools.empty()) break_off("no pool took the weights: " + why);
  }

  /// Per pool; one copy for each device and precision, none where it is the trainer's own.
  std::vector<std::shared_ptr<const transformer>>
  made_ready(const std::shared_ptr<const model_weights>& weights) {
    std::map<placement, std::shared_ptr<const transformer>> made;
    std::vector<std::shared_ptr<const transformer>> ready;
    for (const auto& to : options->pools) {
      auto& model = made[{to.device, to.precision}];
      if (!model) {
        const bool same =
            to.precision == dtype::float32 && weights->embedding.device() == at::Device(to.device);
        auto copy = same ? weights
                         : std::make_shared<const model_weights>(
                             copy_weights(*weights, to.precision, to.device));
        const auto& older = newest[{to.device, to.precision}];
        auto fresh = older ? std::make_shared<transformer>(std::move(copy), *older)
                           : std::make_shared<transformer>(std::move(copy));
        fresh->prepare();
        model = std::move(fresh);
      }
      ready.push_back(model);
    }
    newest = std::move(made);
    return ready;
  }

  // ---- figures ----

  /// How much of the time since the last step pools did not decode.
  void measure_idle(std::function<void()> done) {
    auto open = std::make_shared<std::size_t>(options->pools.size());
    auto busy = std::make_shared<double>(0);
    if (*open == 0) return guarded(done);
    auto heard = [this, open, busy, done](double busy_s) {
      *busy += busy_s;
      if (--*open > 0) return;
      const auto wall = seconds_since(measured) * double(options->pools.size());
      measured = clock::now();
      around.pool_idle = wall > 0 ? std::max(0.0, 1 - (*busy - busy_before) / wall) : 0;
      busy_before = *busy;
      guarded(done);
    };
    for (const auto& to : options->pools)
      self->request(to.pool, patience_with_status, atom::status_v)
          .then([heard](const pool_status& now) { heard(now.busy_s); },
                [heard](caf::error&) { heard(0); });
  }

  trainer_status status() { return {what, run().step()}; }

  // ---- the end ----

  void stop() {
    stopping = true;
    if (what == doing::waiting) park();
  }

  /// Between two steps: what rolls out meanwhile is in the store.
  void park() {
    guarded([this] {
      run().save();
      end({});
    });
  }

  /// For a reason outside: what was learnt is kept, as far as the disk allows.
  void break_off(const std::string& why) {
    if (what == doing::ended) return;
    try {
      if (what != doing::learning) run().save(); // in the middle of a step it would not be one
    } catch (const std::exception& also) {
      return end(why + "; " + also.what());
    }
    end(why);
  }

  void end(const std::string& why) {
    if (std::exchange(what, doing::ended) == doing::ended) return;
    options->on_end(why, run().result());
    self->quit();
  }

  /// What the world does to a run ends it, with its reason.
  void guarded(const std::function<void()>& work) {
    try {
      work();
    } catch (const std::exception& why) {
      end(why.what());
    }
  }

  trainer_actor::stateful_pointer<trainer_state> self;
  std::shared_ptr<trainer_actor_options> options;
  doing what = doing::waiting;
  bool stopping = false;
  clock::time_point since, measured = clock::now();
  double busy_before = 0;
  rollout_figures around;
  std::map<placement, std::shared_ptr<const transformer>> newest; ///< that pools have
};

trainer_actor::behavior_type trainer(trainer_actor::stateful_pointer<trainer_state> self,
                                     std::shared_ptr<trainer_actor_options> options) {
  auto& state = self->state;
  self->set_default_handler(caf::drop);
  self->set_down_handler([&state](caf::down_msg&) { state.break_off("the rollouts are gone"); });
  state.begin(std::move(options));
  return {
      [&state](atom::step) { state.guarded([&state] { state.step(); }); },
      [&state](atom::drain) { state.stop(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

trainer_actor spawn_trainer(caf::actor_system& system, trainer_actor_options options,
                            bool detached) {
  auto shared = std::make_shared<trainer_actor_options>(std::move(options));
  return detached ? system.spawn<caf::detached>(trainer, std::move(shared))
                  : system.spawn(trainer, std::move(shared));
}

} // namespace banyan
