#include "trainer/rollout_actor.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

namespace {

constexpr caf::timespan between_looks = std::chrono::seconds(1);

struct rollout_state {
  static inline const char* name = "banyan.rollouts";
  using seconds = std::chrono::duration<double>;

  explicit rollout_state(rollout_actor::stateful_pointer<rollout_state> self) : self(self) {}

  ~rollout_state() {
    if (asked) asked->second.deliver(caf::error{errc::pool_lost});
  }

  double now_s() const { return seconds(self->clock().now().time_since_epoch()).count(); }

  void begin(node_actor with, rollout_actor_options given) {
    node = std::move(with);
    options = std::move(given);
    plan.emplace(options.plan);
    for (auto& [key, t] : options.known) plan->restore(key, std::move(t));
    plan->restore(std::move(options.places));
    next_step = options.first_step;
    self->monitor(node);
    self->delayed_send(self, between_looks, atom::tick_v);
  }

  // ---- trees ----

  std::uint32_t epoch_for(std::int64_t step) const {
    return sampling_epoch(step, options.staleness, options.oldest_epoch);
  }

  void open(const weights_published& news) {
    while (next_step < options.last_step && epoch_for(next_step) <= news.epoch) {
      began[next_step] = now_s();
      plan->open(next_step++);
    }
    go_on();
  }

  void go_on() {
    cancel(plan->take_useless());
    while (plan->due() && running.size() < options.concurrency) start(plan->take_due());
    while (running.size() < options.concurrency)
      if (const auto key = plan->take_ahead())
        start(*key);
      else
        break;
    answer();
  }

  void start(const rollout_key& key) {
    auto request = options.request_for(key, plan->source_of(key));
    if (options.policy == in_flight::finish) request.weights_epoch = epoch_for(key.step);
    request.stored_at_best = true; // it can be rolled out anew, which is better than to wait
    plan->started(key, now_s());
    const auto id = running[key] = request.id;
    // The plan gives up on a tree long before this; it is here for a node that is silent.
    const auto patience =
        std::chrono::duration_cast<caf::timespan>(seconds(2 * options.plan.deadline_s + 60));
    self->request(node, patience, std::move(request))
        .then([this, key, id](finished_tree& done) { finish(key, id, std::move(done.value)); },
              [this, key, id](caf::error& why) {
                finish(key, id, nullptr, errc_of(why, errc::pool_lost));
              });
  }

  /// Whoever was given up on may have been started again in the same place since.
  void finish(const rollout_key& key, const std::string& id, std::shared_ptr<const tree> t,
              errc lost = errc::pool_lost) {
    const auto found = running.find(key);
    if (found == running.end() || found->second != id) return;
    running.erase(found);
    plan->finish(key, std::move(t), lost);
    go_on();
  }

  void look() {
    self->delayed_send(self, between_looks, atom::tick_v);
    cancel(plan->expire(now_s()));
    go_on();
  }

  void cancel(const std::vector<rollout_key>& keys) {
    for (const auto& key : keys)
      if (const auto tree = running.extract(key)) self->send(node, cancel_request{tree.mapped()});
  }

  // ---- the trainer ----

  caf::result<tree_groups> give(const group_request& request) {
    auto promise = self->make_response_promise<tree_groups>();
    asked.emplace(request.step, promise);
    answer();
    return promise;
  }

  void answer() {
    if (!asked || !plan->complete(asked->first)) return;
    const auto step = asked->first;
    tree_groups groups{std::make_shared<rollout_batch>(plan->take(step)), now_s() - began[step]};
    cancel(plan->take_useless());
    began.erase(step);
    asked->second.deliver(std::move(groups));
    asked.reset();
  }

  rollout_status status() const {
    rollout_status now;
    for (const auto& [step, since] : began) now.open_steps.push_back(step);
    now.running = running.size();
    now.due = plan->num_due();
    return now;
  }

  rollout_actor::stateful_pointer<rollout_state> self;
  node_actor node;
  rollout_actor_options options;
  std::optional<rollout_plan> plan;
  std::map<rollout_key, std::string> running; ///< ids of trees
  std::map<std::int64_t, double> began;       ///< open steps
  std::int64_t next_step = 0;
  std::optional<std::pair<std::int64_t, caf::typed_response_promise<tree_groups>>> asked;
};

rollout_actor::behavior_type rollouts(rollout_actor::stateful_pointer<rollout_state> self,
                                      node_actor node, rollout_actor_options options) {
  auto& state = self->state;
  state.begin(std::move(node), std::move(options));
  self->set_default_handler(caf::drop);
  self->set_down_handler([self](caf::down_msg&) { self->quit(caf::error{errc::pool_lost}); });
  return {
      [&state](const group_request& request) { return state.give(request); },
      [&state](const weights_published& news) { state.open(news); },
      [&state](atom::tick) { state.look(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

rollout_actor spawn_rollouts(caf::actor_system& system, node_actor node,
                             rollout_actor_options options) {
  return system.spawn(rollouts, std::move(node), std::move(options));
}

} // namespace banyan
