#include "apps/runtime.hpp"

#include "actors/config.hpp"
#include "actors/status_board.hpp"
#include "actors/tree_ids.hpp"
#include "apps/actor_house.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace banyan {

namespace {

using namespace std::chrono_literals;

/// Where the actors put what the program asked for.
class inbox {
public:
  void open(const std::string& id) {
    const std::lock_guard lock(mutex_);
    open_.insert(id);
  }

  void finish(finished_work work) {
    {
      const std::lock_guard lock(mutex_);
      if (open_.erase(work.id) == 0) return;
      seen_.erase(work.id);
      texts_.erase(work.id);
      finished_.push_back(std::move(work));
    }
    arrived_.notify_one();
  }

  void fail_open(const std::string& why) {
    for (;;) {
      std::string id;
      {
        const std::lock_guard lock(mutex_);
        if (open_.empty()) return;
        id = *open_.begin();
      }
      finish({id, nullptr, why});
    }
  }

  void show(std::shared_ptr<const tree> now) {
    const std::lock_guard lock(mutex_);
    if (open_.contains(now->id)) seen_[now->id] = std::move(now);
  }

  void show(const std::string& id, thread_record thread) {
    const std::lock_guard lock(mutex_);
    if (open_.contains(id)) texts_[id][thread.path] = std::move(thread.segments);
  }

  std::optional<tree> seen(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto i = seen_.find(id);
    if (i == seen_.end()) return {};
    auto now = *i->second;
    const auto texts = texts_.find(id);
    if (texts == texts_.end()) return now;
    for (auto& thread : now.threads)
      if (const auto text = texts->second.find(thread.path);
          !ended(thread.phase) && text != texts->second.end())
        thread.segments = text->second;
    return now;
  }

  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return open_.size() + finished_.size();
  }

  std::optional<finished_work> take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, patience, [this] { return !finished_.empty(); })) return {};
    auto work = std::move(finished_.front());
    finished_.pop_front();
    return work;
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::set<std::string> open_;
  std::deque<finished_work> finished_;
  std::map<std::string, std::shared_ptr<const tree>> seen_;
  std::map<std::string, std::map<std::string, std::vector<segment>>> texts_; // tree, thread
};

/// Stands between the program and the node: asks, and puts answers into the inbox.
using desk_actor = caf::typed_actor<
    // Solves; the finished tree goes to the inbox.
    caf::reacts_to<solve_request>,
    // Looks at a running tree for the inbox.
    caf::reacts_to<tree_request>,
    // Passed on to the node, behind what came before.
    caf::reacts_to<cancel_request>,
    // Passed on to the node, behind what came before.
    caf::reacts_to<atom::drain>>;

struct desk_state {
  static inline const char* name = "banyan.desk";
};

void look(desk_actor::stateful_pointer<desk_state> self, const node_actor& node,
          const std::shared_ptr<inbox>& box, const std::string& id, const std::string& thread) {
  self->request(node, caf::timespan(1s), thread_request{id, thread})
      .then([box, id](thread_status& now) { box->show(id, std::move(now.record)); },
            [](caf::error&) {}); // it has just ended
}

desk_actor::behavior_type desk(desk_actor::stateful_pointer<desk_state> self, node_actor node,
                               std::shared_ptr<inbox> box) {
  self->monitor(node);
  self->set_down_handler([box](caf::down_msg& down) {
    box->fail_open("the node is gone: " + to_string(down.reason));
  });
  return {
      [self, node, box](const solve_request& request) {
        // A tree's own deadline begins when its turn comes; the node's guarded promises and the
        // monitor above see to it that every request is answered.
        self->request(node, caf::infinite, request)
            .then(
                [box](finished_tree& done) {
                  box->finish({done.value->id, done.value, {}});
                },
                [box, self, id = request.id](caf::error& why) {
                  box->finish({id, nullptr, self->system().render(why)});
                });
      },
      [self, node, box](const tree_request& request) {
        self->request(node, caf::timespan(1s), request)
            .then(
                [self, node, box](tree_status& now) {
                  box->show(now.value);
                  for (const auto& thread : now.value->threads)
                    if (!ended(thread.phase)) look(self, node, box, now.value->id, thread.path);
                },
                [](caf::error&) {}); // it has just ended: the inbox has it
      },
      [self, node](const cancel_request& request) { self->send(node, request); },
      [self, node](atom::drain) { self->send(node, atom::drain_v); },
  };
}

house_options house_of(runtime_options& options) {
  house_options house;
  house.begin = std::move(options.begin);
  house.concurrency = options.concurrency;
  house.watched = options.watched;
  house.seed = options.seed;
  house.log = std::move(options.log);
  return house;
}

} // namespace

struct runtime::impl {
  std::shared_ptr<inbox> box = std::make_shared<inbox>();
  tree_ids ids;
  actor_house house;
  desk_actor front;

  impl(std::vector<pool_source> sources, runtime_options options)
      : ids(options.seed), house(std::move(sources), house_of(options)) {
    front = house.system().spawn(desk, house.node(), box);
    house.add(caf::actor_cast<caf::actor>(front));
  }
};

runtime::runtime(std::vector<pool_source> sources, runtime_options options)
    : impl_(std::make_unique<impl>(std::move(sources), std::move(options))) {}

runtime::~runtime() = default;

std::string runtime::submit(solve_request request) {
  if (request.id.empty()) request.id = impl_->ids.next(unix_ms_now());
  auto id = request.id;
  impl_->box->open(id);
  caf::anon_send(impl_->front, std::move(request));
  return id;
}

std::size_t runtime::pending() const { return impl_->box->pending(); }

std::optional<finished_work> runtime::take(std::chrono::milliseconds patience) {
  return impl_->box->take(patience);
}

void runtime::look(const std::string& id) { caf::anon_send(impl_->front, tree_request{id}); }

std::optional<live_tree> runtime::seen(const std::string& id) const {
  auto now = impl_->box->seen(id);
  if (!now) return {};
  live_tree live{std::move(*now), {}};
  for (const auto& row : impl_->house.board()->snapshot_of(id))
    live.tokens[row.thread] = row.tokens;
  return live;
}

void runtime::cancel(const std::string& id) { caf::anon_send(impl_->front, cancel_request{id}); }

void runtime::cancel_all() { caf::anon_send(impl_->front, atom::drain_v); }

} // namespace banyan
