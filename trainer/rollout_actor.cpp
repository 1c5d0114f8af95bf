#include "trainer/rollout_actor.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"

#include <chrono>
#include <exception>
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
    if (asked) asked->second.deliver(why_gone);
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
    newest = news.epoch;
    while (next_step < options.last_step && epoch_for(next_step) <= news.epoch) {
      times[next_step] = {};
      plan->open(next_step++);
    }
    go_on();
  }

  void go_on() {
    for (auto& id : plan->take_useless()) self->send(node, cancel_request{std::move(id)});
    while (plan->due() && plan->num_running() < options.concurrency) start(plan->take_due());
    for (auto& [step, its] : times)
      if (!its.end && plan->complete(step)) its.end = now_s();
    answer();
  }

  void start(const rollout_key& key) {
    const bool is_pinned = options.policy == in_flight::finish;
    const auto epoch = is_pinned ? epoch_for(key.step) : newest;
    auto request = options.request_for(key, plan->source_of(key), epoch);
    if (is_pinned) request.weights_epoch = epoch;
    request.stored_at_best = true; // it can be rolled out anew, which is better than to wait
    plan->started(key, request.id, now_s());
    if (auto& its = times[key.step]; !its.begin) its.begin = now_s();
    // The plan gives up on a tree long before this; it is here for a node that is silent.
    const auto patience =
        std::chrono::duration_cast<caf::timespan>(seconds(2 * options.plan.deadline_s + 60));
    self->request(node, patience, std::move(request))
        .then([this, key](finished_tree& done) { finish(key, std::move(done.value)); },
              [this, key](caf::error& why) {
                if (errc_of(why, errc::none) == errc::pool_lost)
                  return leave(caf::make_error(errc::pool_lost, std::string("no pool is left")));
                finish(key, nullptr, errc_of(why, errc::pool_lost));
              });
  }

  void finish(const rollout_key& key, std::shared_ptr<const tree> t, errc lost = errc::pool_lost) {
    plan->finish(key, std::move(t), lost);
    go_on();
  }

  void look() {
    self->delayed_send(self, between_looks, atom::tick_v);
    plan->expire(now_s());
    go_on();
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
    const auto its = times.extract(step).mapped();
    tree_groups groups{std::make_shared<rollout_batch>(plan->take(step)),
                       its.begin && its.end ? *its.end - *its.begin : 0};
    asked->second.deliver(std::move(groups));
    asked.reset();
  }

  rollout_status status() const {
    rollout_status now;
    for (const auto& [step, its] : times) now.open_steps.push_back(step);
    now.running = plan->num_running();
    now.due = plan->num_due();
    return now;
  }

  /// Nothing can be rolled out any more: what was learnt is worth more than what is left of a step.
  void leave(caf::error why) {
    why_gone = why;
    self->quit(std::move(why));
  }

  struct step_times {
    std::optional<double> begin, end; ///< of its first tree, of its last one
  };

  rollout_actor::stateful_pointer<rollout_state> self;
  node_actor node;
  rollout_actor_options options;
  std::optional<rollout_plan> plan;
  std::map<std::int64_t, step_times> times; ///< of open steps
  std::int64_t next_step = 0;
  std::uint32_t newest = 0; ///< epoch
  std::optional<std::pair<std::int64_t, caf::typed_response_promise<tree_groups>>> asked;
  caf::error why_gone = errc::pool_lost;
};

rollout_actor::behavior_type rollouts(rollout_actor::stateful_pointer<rollout_state> self,
                                      node_actor node, rollout_actor_options options) {
  auto& state = self->state;
  state.begin(std::move(node), std::move(options));
  self->set_default_handler(caf::drop);
  self->set_exception_handler(
      [&state](std::exception_ptr& e) { return state.why_gone = lost_by(e); });
  self->set_down_handler([&state](caf::down_msg&) {
    state.leave(caf::make_error(errc::pool_lost, std::string("the node is gone")));
  });
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
