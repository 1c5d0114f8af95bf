#include "actors/event_hub.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

namespace banyan {

std::string_view to_string(tree_event::kind kind) {
  switch (kind) {
  case tree_event::kind::tree: return "tree";
  case tree_event::kind::thread: return "thread";
  case tree_event::kind::spawn: return "spawn";
  case tree_event::kind::text: return "text";
  case tree_event::kind::join: return "join";
  case tree_event::kind::done: return "done";
  }
  return "unknown";
}

tree_event end_of(const tree& t) {
  tree_event e;
  e.what = tree_event::kind::done;
  e.tree = t.id;
  e.at_ms = t.finished_ms;
  e.state = to_string(t.phase);
  e.failure = t.failure;
  e.outcome = t.outcome;
  return e;
}

namespace {

/// An event, and about how much memory it takes: some carry whole blocks.
struct sized_event : tree_event {
  explicit sized_event(tree_event told) : tree_event(std::move(told)) {
    size = sizeof *this + tree.capacity() + thread.capacity() + parent.capacity() + state.capacity()
           + text.capacity() + children.capacity() * sizeof(std::string);
    for (const auto& child : children) size += child.capacity();
    if (outcome) size += outcome->solution.capacity();
  }
  std::size_t size = 0;
};

using event_ptr = std::shared_ptr<const sized_event>;

/// One subscriber's events. The hub's lock guards them; `waking` guards the call of `wake` alone,
/// so that nobody waits for it but who ends the subscription.
struct queue {
  std::deque<event_ptr> events;
  std::size_t of_old = 0; ///< events from before the subscription: they are not held against it
  std::size_t bytes = 0;  ///< of the others
  bool lost = false;

  std::mutex waking;
  std::function<void()> wake;
};

} // namespace

struct event_hub::core {
  struct member;

  explicit core(limits l) : most(l) {}

  const limits most;
  mutable std::mutex mutex;
  std::deque<event_ptr> kept; ///< the last ones, without a gap
  std::size_t kept_bytes = 0;
  std::uint64_t newest = 0;
  std::vector<std::shared_ptr<queue>> of_all;
  std::map<std::string, std::vector<std::shared_ptr<queue>>, std::less<>> of_tree;
  std::atomic<std::size_t> num_watched{0}; ///< size of `of_tree`

  /// Taken before `mutex`, and held through the call: what is told of a tree last is so.
  std::mutex watch_mutex;
  std::function<void(const std::string&, bool)> on_watch;

  std::uint64_t oldest_kept() const { return newest - kept.size() + 1; }
  bool keeps(std::uint64_t after) const { return after <= newest && after + 1 >= oldest_kept(); }
  std::vector<std::shared_ptr<queue>>& queues_of(const std::string& tree) {
    return tree.empty() ? of_all : of_tree[tree];
  }

  std::vector<event_ptr> keep(std::shared_ptr<sized_event>);
  void pass(const event_ptr&, std::vector<std::shared_ptr<queue>>& to,
            std::vector<std::shared_ptr<queue>>& woken);
  bool add(const std::string& tree, std::uint64_t after, std::shared_ptr<queue>);
  bool remove(const std::string& tree, const std::shared_ptr<queue>&);
  void tell_watch(const std::string& tree, bool watched);
};

// ---- publishing

/// Returns those for which there is no room any more: they die outside of the lock.
std::vector<event_ptr> event_hub::core::keep(std::shared_ptr<sized_event> event) {
  event->id = ++newest;
  kept_bytes += event->size;
  kept.push_back(std::move(event));
  std::vector<event_ptr> forgotten;
  while (kept.size() > most.kept || kept_bytes > most.kept_bytes) {
    kept_bytes -= kept.front()->size;
    forgotten.push_back(std::move(kept.front()));
    kept.pop_front();
  }
  return forgotten;
}

void event_hub::core::pass(const event_ptr& event, std::vector<std::shared_ptr<queue>>& to,
                           std::vector<std::shared_ptr<queue>>& woken) {
  for (auto& q : to) {
    if (q->lost) continue;
    q->lost = q->events.size() - q->of_old >= most.pending || q->bytes >= most.pending_bytes;
    if (q->lost) continue;
    if (q->events.empty()) woken.push_back(q);
    q->events.push_back(event);
    q->bytes += event->size;
  }
}

void event_hub::publish(tree_event told) {
  const auto event = std::make_shared<sized_event>(std::move(told));
  std::vector<event_ptr> forgotten;
  std::vector<std::shared_ptr<queue>> woken;
  {
    const std::lock_guard lock(core_->mutex);
    forgotten = core_->keep(event);
    if (event->what != tree_event::kind::text) core_->pass(event, core_->of_all, woken);
    if (const auto i = core_->of_tree.find(event->tree); i != core_->of_tree.end())
      core_->pass(event, i->second, woken);
  }
  for (const auto& q : woken) {
    const std::lock_guard lock(q->waking);
    if (q->wake) q->wake();
  }
}

// ---- subscriptions

/// Returns whether it is the first one of its tree.
bool event_hub::core::add(const std::string& tree, std::uint64_t after, std::shared_ptr<queue> q) {
  const std::lock_guard lock(mutex);
  if (after != 0)
    for (const auto& event : kept) {
      const bool meant = tree.empty() ? event->what != tree_event::kind::text : event->tree == tree;
      if (event->id > after && meant) q->events.push_back(event);
    }
  q->of_old = q->events.size();
  auto& queues = queues_of(tree);
  queues.push_back(std::move(q));
  num_watched = of_tree.size();
  return !tree.empty() && queues.size() == 1;
}

/// Returns whether it was the last one of its tree.
bool event_hub::core::remove(const std::string& tree, const std::shared_ptr<queue>& q) {
  const std::lock_guard lock(mutex);
  auto& queues = queues_of(tree);
  std::erase(queues, q);
  if (tree.empty() || !queues.empty()) return false;
  of_tree.erase(tree);
  num_watched = of_tree.size();
  return true;
}

void event_hub::core::tell_watch(const std::string& tree, bool watched) {
  if (on_watch) on_watch(tree, watched);
}

struct event_hub::core::member : event_hub::subscription {
  std::shared_ptr<core> hub;
  std::string tree;
  std::shared_ptr<queue> events;

  member(std::shared_ptr<core> h, std::string t, std::uint64_t after, std::function<void()> wake)
      : hub(std::move(h)), tree(std::move(t)), events(std::make_shared<queue>()) {
    events->wake = std::move(wake);
    const std::lock_guard in_order(hub->watch_mutex);
    if (hub->add(tree, after, events)) hub->tell_watch(tree, true);
  }

  ~member() override {
    {
      const std::lock_guard lock(events->waking);
      events->wake = nullptr;
    }
    const std::lock_guard in_order(hub->watch_mutex);
    if (hub->remove(tree, events)) hub->tell_watch(tree, false);
  }

  std::vector<tree_event> take(std::size_t most) override {
    std::deque<event_ptr> taken;
    {
      const std::lock_guard lock(hub->mutex);
      auto& waiting = events->events;
      const auto n = std::min(most, waiting.size());
      for (auto i = std::min(events->of_old, n); i < n; ++i) events->bytes -= waiting[i]->size;
      events->of_old -= std::min(events->of_old, n);
      const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(n);
      std::move(waiting.begin(), end, std::back_inserter(taken));
      waiting.erase(waiting.begin(), end);
    }
    std::vector<tree_event> copies;
    copies.reserve(taken.size());
    for (const auto& event : taken) copies.push_back(*event);
    return copies;
  }

  bool lost() const override {
    const std::lock_guard lock(hub->mutex);
    return events->lost;
  }
};

std::unique_ptr<event_hub::subscription> event_hub::subscribe(std::string tree, std::uint64_t after,
                                                              std::function<void()> wake) {
  return std::make_unique<core::member>(core_, std::move(tree), after, std::move(wake));
}

// ---- the rest

event_hub::event_hub() : event_hub(limits{}) {}
event_hub::event_hub(limits l) : core_(std::make_shared<core>(l)) {}

bool event_hub::keeps(std::uint64_t after) const {
  const std::lock_guard lock(core_->mutex);
  return core_->keeps(after);
}

std::uint64_t event_hub::newest() const {
  const std::lock_guard lock(core_->mutex);
  return core_->newest;
}

bool event_hub::watched(std::string_view tree) const {
  if (core_->num_watched == 0) return false;
  const std::lock_guard lock(core_->mutex);
  return core_->of_tree.find(tree) != core_->of_tree.end();
}

void event_hub::on_watch(std::function<void(const std::string&, bool)> call) {
  const std::lock_guard lock(core_->watch_mutex);
  core_->on_watch = std::move(call);
}

std::size_t event_hub::num_subscribers() const {
  const std::lock_guard lock(core_->mutex);
  auto count = core_->of_all.size();
  for (const auto& [tree, queues] : core_->of_tree) count += queues.size();
  return count;
}

} // namespace banyan
