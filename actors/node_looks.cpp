#include "actors/node_state.hpp"

#include "actors/steering.hpp"
#include "actors/waiting_tree.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace banyan {
namespace {

/// Of a pool that is in a longer step, a status has what it shows meanwhile.
constexpr caf::timespan pool_patience = std::chrono::milliseconds(30);

/// A status that still waits for pools; the last answer sends it.
struct open_status {
  node_status value;
  guarded_promise<node_status> asker;
  std::size_t waiting_for;

  void count_down() {
    if (--waiting_for > 0) return;
    std::ranges::sort(value.pools, {}, &pool_status::name);
    asker.deliver(std::move(value));
  }
};

} // namespace

caf::result<tree_status> node_state::show(const tree_request& request) {
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  const auto* waiting = queue.find(request.id);
  if (!waiting) return no_tree(request.id);
  auto seen = shown(waiting->work);
  if (!request.texts) seen = outline(seen);
  return tree_status{std::make_shared<const tree>(std::move(seen))};
}

caf::result<thread_status> node_state::show(const thread_request& request) const {
  if (const auto* tree = find_running(request.id)) return self->delegate(tree->session, request);
  const auto* waiting = queue.find(request.id);
  if (!waiting) return no_tree(request.id);
  auto seen = shown(waiting->work);
  auto* thread = seen.find(request.thread);
  if (!thread) return no_thread(request.thread);
  return thread_status{std::move(*thread), false, {}, 0, 0, 0};
}

caf::result<node_status> node_state::status() {
  auto now = counted;
  now.running = running.size();
  now.queued = queue.size();
  now.queued_paused = queue.num_paused();
  now.paused = queue.num_paused() + num_paused;
  now.pools_alive = options.pools.size();
  for (const auto& [id, tree] : running) now.trees.push_back(id);
  if (options.pools.empty()) return now;
  auto promise = self->make_response_promise<node_status>();
  auto open = std::make_shared<open_status>(
      open_status{std::move(now), guarded_promise(promise), options.pools.size()});
  for (const auto& pool : options.pools)
    self->request(pool.actor, pool_patience, atom::status_v)
        .then(
            [open](pool_status& one) {
              open->value.pools.push_back(std::move(one));
              open->count_down();
            },
            [open, pool](caf::error&) {
              if (pool.gauge) open->value.pools.push_back(pool.gauge->now());
              open->count_down();
            });
  return promise;
}

} // namespace banyan
