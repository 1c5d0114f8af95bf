#include "trainer/trainer_actor.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "model/device.hpp"
#include "model/elapsed.hpp"
#include "model/transformer.hpp"
#include "model/weights.hpp"

#include <algorithm>
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
constexpr caf::timespan between_looks = std::chrono::seconds(1);

struct trainer_state {
  static inline const char* name = "banyan.trainer";
  using placement = std::pair<std::string, dtype>; ///< device and precision

  explicit trainer_state(trainer_actor::stateful_pointer<trainer_state> self) : self(self) {}

  void take(std::shared_ptr<trainer_actor_options> given) {
    options = std::move(given);
    self->monitor(options->rollouts);
    self->send(self, atom::step_v);
    self->delayed_send(self, between_looks, atom::tick_v);
  }

  void set_out() {
    if (options->os_threads > 0) at::set_num_threads(options->os_threads);
    what = trainer_phase::publishing;
    auto known = run().published();
    known.erase(known.begin());
    for (const auto& to : options->pools) heard_of[to.pool] = {};
    if (!known.empty()) return send_out(std::move(known), [this] { next(); });
    self->send(options->rollouts, weights_published{static_cast<std::uint32_t>(run().step())});
    next();
  }

  rl_run& run() { return *options->run; }

  // ---- a step: wait, learn, publish, finish ----

  void next() {
    if (run().done()) return close();
    what = trainer_phase::waiting;
    since = clock::now();
    self->request(options->rollouts, patience_with_rollouts, group_request{run().step()})
        .then([this](const tree_groups& groups) { guarded([&] { learn(groups); }); },
              [this](caf::error& why) {
                if (why == caf::sec::request_receiver_down) return; // the monitor says why
                break_off("rollouts broke off: " + self->system().render(why));
              });
  }

  void learn(const tree_groups& groups) {
    if (what == trainer_phase::ended) return;
    if (run().done()) return close(); // its time ran out while it waited
    what = trainer_phase::learning;
    around = {.rollout_s = groups.rollout_s, .wait_s = seconds_since(since)};
    run().begin(*groups.value);
    self->send(self, atom::step_v);
  }

  void step() {
    if (what == trainer_phase::setting_out) return set_out();
    if (what != trainer_phase::learning) return;
    if (run().advance()) return self->send(self, atom::step_v);
    what = trainer_phase::publishing;
    since = clock::now();
    auto published = run().publish();
    if (stopping) return park(); // nobody will decode with them here
    send_out({std::move(published)}, [this] { finish(); });
  }

  void finish() {
    around.publish_wait_ms = 1000 * seconds_since(since) - around.publish_ms;
    if (told.wall_s > 0) around.pool_idle = std::max(0.0, 1 - told.busy_s / told.wall_s);
    const bool is_last = run().done(); // then this evaluates and saves
    run().finish(around);
    if (is_last) return end({});
    next();
  }

  /// A step's rollouts may take longer than the run has time.
  void look() {
    if (what == trainer_phase::ended) return;
    self->delayed_send(self, between_looks, atom::tick_v);
    if (what == trainer_phase::waiting && run().done()) close();
  }

  // ---- weights ----

  /// To all pools, epoch after epoch; `done` is called when all have taken them.
  void send_out(std::vector<published_weights> epochs, std::function<void()> done) {
    auto open = std::make_shared<std::size_t>(epochs.size() * options->pools.size());
    auto all_have_them = [this, last = epochs.back().epoch, done] {
      if (what == trainer_phase::ended) return;
      self->send(options->rollouts, weights_published{last});
      guarded(done);
    };
    auto one_less = [open, all_have_them] {
      if (--*open == 0) all_have_them();
    };
    told = {};
    if (*open == 0) all_have_them();
    for (const auto& published : epochs) {
      const auto ready = made_ready(published.weights);
      for (std::size_t i = 0; i < options->pools.size(); ++i)
        self->request(options->pools[i].pool, patience_with_pools,
                      weights_ready{published.epoch, ready[i], {}})
            .then(
                [this, one_less, pool = options->pools[i].pool](const weights_taken& reply) {
                  hear(pool, reply);
                  one_less();
                },
                [this, one_less, to = options->pools[i], epoch = published.epoch](caf::error& why) {
                  lose(to, epoch, self->system().render(why));
                  one_less();
                });
    }
    around.publish_ms = 1000 * seconds_since(since);
  }

  /// The others go on; without any there is nothing to train for. The pool ends, so that nobody
  /// samples from its old weights.
  void lose(const weights_target& lost, std::uint32_t epoch, const std::string& why) {
    const auto is_it = [&](const weights_target& t) { return t.pool == lost.pool; };
    if (std::erase_if(options->pools, is_it) == 0) return; // known from another epoch
    if (options->log)
      options->log("a pool on " + lost.device + " did not take the weights of epoch "
                   + std::to_string(epoch) + " and is used no more: " + why);
    self->send_exit(lost.pool, caf::exit_reason::user_shutdown);
    if (options->pools.empty()) break_off("no pool took the weights: " + why);
  }

  /// Per pool; one copy for each device and precision, none where it is the trainer's own.
  std::vector<std::shared_ptr<const transformer>>
  made_ready(const std::shared_ptr<const model_weights>& weights) {
    std::map<placement, std::shared_ptr<const transformer>> made;
    std::vector<std::shared_ptr<const transformer>> ready;
    for (const auto& to : options->pools) {
      const auto device = whole_device_name(to.device);
      auto& model = made[{device, to.precision}];
      if (!model) {
        const bool same =
            to.precision == dtype::float32 && weights->embedding.device() == at::Device(device);
        auto copy = same ? weights
                         : std::make_shared<const model_weights>(
                             copy_weights(*weights, to.precision, device));
        const auto& older = newest[{device, to.precision}];
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

  /// What of its time a pool has decoded, as it was heard of last.
  struct pool_time {
    double busy_s = 0;
    clock::time_point since = clock::now();
  };

  /// The same of all pools, since the weights before.
  struct pool_times {
    double busy_s = 0, wall_s = 0;
  };

  void hear(const pool_actor& pool, const weights_taken& reply) {
    around.swap_ms = std::max(around.swap_ms, reply.swap_ms);
    const auto before = std::exchange(heard_of[pool], {.busy_s = reply.busy_s});
    told.busy_s += reply.busy_s - before.busy_s;
    told.wall_s += seconds_since(before.since);
  }

  trainer_status status() const { return {options->run->step(), what}; }

  // ---- the end ----

  /// A step that is being learnt is ended first.
  void stop() {
    stopping = true;
    if (what != trainer_phase::learning && what != trainer_phase::ended) park();
  }

  void close() {
    run().close();
    end({});
  }

  /// What rolls out meanwhile is in the store.
  void park() {
    guarded([this] {
      run().keep(around);
      end({});
    });
  }

  /// For a reason outside: what was learnt is kept, as far as the disk allows.
  void break_off(const std::string& why) {
    if (what == trainer_phase::ended) return;
    try {
      run().keep(around);
    } catch (const std::exception& also) {
      const auto then = run().explained(also);
      return end(then == why ? why : why + ", and then " + then);
    }
    end(why);
  }

  void end(const std::string& why) {
    if (std::exchange(what, trainer_phase::ended) == trainer_phase::ended) return;
    options->on_end(why, run().result());
    self->quit();
  }

  /// What the world does to a run ends it, with its reason.
  void guarded(const std::function<void()>& work) {
    try {
      work();
    } catch (const std::exception& why) {
      break_off(run().explained(why));
    }
  }

  trainer_actor::stateful_pointer<trainer_state> self;
  std::shared_ptr<trainer_actor_options> options;
  trainer_phase what = trainer_phase::setting_out;
  bool stopping = false;
  clock::time_point since;
  std::map<pool_actor, pool_time> heard_of;
  pool_times told;
  rollout_figures around;
  std::map<placement, std::shared_ptr<const transformer>> newest; ///< that pools have
};

trainer_actor::behavior_type trainer(trainer_actor::stateful_pointer<trainer_state> self,
                                     std::shared_ptr<trainer_actor_options> options) {
  auto& state = self->state;
  self->set_default_handler(caf::drop);
  self->set_exception_handler(lost_by);
  self->set_down_handler([self](const caf::down_msg& gone) {
    self->state.break_off("the rollouts are gone: " + self->system().render(gone.reason));
  });
  state.take(std::move(options));
  return {
      [&state](atom::step) { state.guarded([&state] { state.step(); }); },
      [&state](atom::tick) { state.guarded([&state] { state.look(); }); },
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
