#pragma once

#include "actors/messages.hpp"
#include "actors/system.hpp"

#include <chrono>
#include <cstdint>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/expected.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace banyan {

/// An actor system without OS threads of its own and with a virtual clock: the same test always
/// takes the same steps. Whoever spawns actors ends them before the fixture goes (`end`); nothing
/// runs afterwards.
struct deterministic_system {
  caf::actor_system_config config;
  caf::actor_system sys;
  caf::scoped_actor self;

  deterministic_system() : sys(prepare(config)), self(sys, true) {}
  ~deterministic_system() { run(); }

  static caf::actor_system_config& prepare(caf::actor_system_config& config) {
    configure(config);
    config.set("scheduler.policy", caf::atom("testing"));
    return config;
  }

  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());
  }

  /// Runs every job that is ready, no timers.
  void run() {
    while (scheduler().try_run_once()) {
    }
  }

  /// Lets virtual time pass, and runs what it wakes.
  void advance(caf::timespan time) {
    scheduler().advance_time(time);
    run();
  }

  /// Milliseconds of the virtual clock, as the injected wall clock.
  std::function<std::int64_t()> unix_ms() {
    return [this] {
      const auto since = sys.clock().now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    };
  }

  /// Asks, runs until nothing is left to do, and takes the answer.
  template <class Answer, class Actor, class... Request>
  caf::expected<Answer> ask(const Actor& actor, Request&&... request) {
    auto pending = self->request(actor, caf::infinite, std::forward<Request>(request)...);
    run();
    return take<Answer>(pending);
  }

  /// The answer to a request whose answer is there by now.
  template <class Answer, class Pending>
  static caf::expected<Answer> take(Pending& pending) {
    caf::expected<Answer> result{caf::sec::runtime_error};
    pending.receive([&](Answer& answer) { result = std::move(answer); },
                    [&](caf::error& why) { result = std::move(why); });
    return result;
  }

  /// Ends an actor as an operator would.
  template <class Actor>
  void end(const Actor& actor) {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    run();
  }

  /// Actors alive, the fixture's own aside.
  std::size_t running() { return sys.registry().running() - 1; }
};

} // namespace banyan
