#include "trainer/store_actor.hpp"

#include "actors/errors.hpp"
#include "actors/messages.hpp"
#include "solver/unix_time.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {
namespace {

constexpr caf::timespan sweep_interval = std::chrono::minutes(1);
constexpr std::size_t most_dropped_at_once = 100;
constexpr caf::timespan between_tries = std::chrono::seconds(2);
constexpr caf::timespan between_complaints = std::chrono::seconds(10);

struct store_parts {
  tree_store store;
  store_actor_options options;
};

/// Something to write, and who waits for it.
struct entry {
  std::string tree;
  std::function<void(tree_store&)> write;
  caf::typed_response_promise<stored> asker; ///< invalid where nobody waits
  errc failure = errc::none;
};

struct store_state {
  static inline const char* name = "banyan.store";
  explicit store_state(tree_store_actor::stateful_pointer<store_state> self) : self(self) {}

  /// However the store ends, nobody waits for it: CAF 0.17 drops promises in silence.
  ~store_state() {
    for (auto& e : open) answer(e, errc::not_stored);
  }

  void add(std::string tree, std::function<void(tree_store&)> write) {
    open.push_back({std::move(tree), std::move(write), {}, errc::none});
    if (open.size() == 1) self->send(self, atom::step_v);
  }

  caf::result<stored> add_awaited(std::string tree, std::function<void(tree_store&)> write) {
    add(std::move(tree), std::move(write));
    return open.back().asker = self->make_response_promise<stored>();
  }

  void record(const tree_boundary& b) {
    add(b.id, [b](tree_store& to) { to.record(b.id, *b.record, b.used_ms); });
  }

  caf::result<stored> set_state(const tree_state& s) {
    return add_awaited(s.id, [s](tree_store& to) { to.set_state(s.id, s.phase, s.halted); });
  }

  caf::result<stored> end(const finished_tree& done) {
    return add_awaited(done.value->id, [this, done](tree_store& to) { finish(to, *done.value); });
  }

  caf::result<stored> accept(const tree_accepted& t) {
    return add_awaited(t.request->id, [t](tree_store& to) { to.accept(*t.request, t.created_ms); });
  }

  void write() {
    auto batch = std::exchange(open, {});
    if (batch.empty()) return;
    try {
      parts->store.begin();
      for (auto& e : batch) write(e);
      parts->store.commit();
      if (parts->store.transaction_bytes() >= largest_failed) tell_trouble({});
    } catch (const std::exception& why) {
      parts->store.roll_back();
      if (trouble.empty()) complain(why);
      largest_failed = std::max(largest_failed, parts->store.transaction_bytes());
      tell_trouble(why.what());
      for (auto& e : batch) e.failure = errc::not_stored;
    }
    for (auto& e : batch) answer(e, e.failure);
  }

  /// What makes no sense alone is left out; the others of its batch do not suffer.
  void write(entry& e) {
    try {
      e.write(parts->store);
    } catch (const std::invalid_argument& why) {
      log(why.what(), e.tree);
      e.failure = errc::bad_request;
    }
  }

  /// A tree that no record can hold ends all the same: tried again, it would be as large.
  void finish(tree_store& to, const tree& done) const {
    try {
      to.finish(done);
    } catch (const std::invalid_argument& why) {
      log(std::string(why.what()) + "; it is kept without its texts", done.id);
      to.finish(outline(done));
    }
  }

  static void answer(entry& e, errc why) {
    if (!e.asker.pending()) return;
    if (why == errc::none)
      e.asker.deliver(stored{});
    else
      e.asker.deliver(caf::error{why});
  }

  void tell_trouble(const std::string& now) {
    if (!now.empty() && !std::exchange(trying, true))
      self->delayed_send(self, between_tries, atom::probe_v);
    if (now.empty()) largest_failed = 0;
    const auto before = std::exchange(trouble, now);
    if (now != before && parts->options.on_trouble) parts->options.on_trouble(now);
  }

  /// Nobody may come to write who could find out that it works again.
  void try_again() {
    trying = false;
    if (trouble.empty()) return;
    try {
      parts->store.try_writing(largest_failed);
      tell_trouble({});
    } catch (const std::exception& why) {
      tell_trouble(why.what());
    }
  }

  /// A part of what there is to drop, so that writers need not wait for the whole of it.
  void sweep() {
    std::size_t dropped = 0;
    try {
      const auto keep = parts->options.keep();
      if (keep.max_age_s > 0 || keep.max_bytes > 0)
        dropped = parts->store.sweep(keep, unix_ms_now(), most_dropped_at_once);
    } catch (const std::exception& why) {
      complain(why);
    }
    if (dropped > 0) return self->send(self, atom::tick_v);
    self->delayed_send(self, sweep_interval, atom::tick_v);
  }

  store_status status() const { return {open.size(), trouble}; }

  void leave() {
    write();
    self->quit();
  }

  /// A full disk must not fill the log.
  void complain(const std::exception& why) {
    const auto now = self->clock().now();
    if (now < quiet_until) return;
    quiet_until = now + between_complaints;
    log(why.what());
  }

  void log(std::string_view line, std::string_view tree = {}) const {
    if (parts->options.log) parts->options.log(line, tree);
  }

  tree_store_actor::stateful_pointer<store_state> self;
  std::shared_ptr<store_parts> parts;
  std::vector<entry> open;
  caf::actor_clock::time_point quiet_until{};
  std::string trouble;            ///< why not all can be written; empty: it can
  std::size_t largest_failed = 0; ///< bytes of a batch, since the trouble began
  bool trying = false;            ///< a `probe` is on its way
};

tree_store_actor::behavior_type store(tree_store_actor::stateful_pointer<store_state> self,
                                      std::shared_ptr<store_parts> parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  self->set_default_handler(caf::drop);
  self->set_exception_handler(lost_by);
  if (state.parts->options.keep) state.sweep();
  return {
      [&state](const tree_boundary& b) { state.record(b); },
      [&state](const tree_state& s) { return state.set_state(s); },
      [&state](const finished_tree& done) { return state.end(done); },
      [&state](const tree_accepted& t) { return state.accept(t); },
      [&state](atom::step) { state.write(); },
      [&state](atom::tick) { state.sweep(); },
      [&state](atom::probe) { state.try_again(); },
      [&state](atom::drain) { state.leave(); },
      [&state](atom::status) { return state.status(); },
  };
}

} // namespace

tree_store_actor spawn_store(caf::actor_system& system, tree_store file,
                             store_actor_options options, bool detached) {
  std::shared_ptr<store_parts> parts(new store_parts{std::move(file), std::move(options)});
  return detached ? system.spawn<caf::detached>(store, std::move(parts))
                  : system.spawn(store, std::move(parts));
}

} // namespace banyan
