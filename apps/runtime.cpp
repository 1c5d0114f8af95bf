#include "apps/runtime.hpp"

#include "actors/config.hpp"
#include "actors/status_board.hpp"
#include "actors/tree_ids.hpp"
#include "apps/actor_house.hpp"
#include "apps/node_desk.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include <caf/actor_system.hpp>

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

house_options house_of(runtime_options& options) {
  house_options house;
  house.begin = std::move(options.begin);
  house.concurrency = options.concurrency;
  house.seed = options.seed;
  house.log = std::move(options.log);
  return house;
}

} // namespace

struct runtime::impl {
  std::shared_ptr<inbox> box = std::make_shared<inbox>();
  tree_ids ids;
  actor_house house;
  node_desk desk;

  impl(std::vector<pool_source> sources, runtime_options options)
      : ids(options.seed),
        house(std::move(sources), house_of(options)),
        desk(house.system(), house.node()) {}
};

runtime::runtime(std::vector<pool_source> sources, runtime_options options)
    : impl_(std::make_unique<impl>(std::move(sources), std::move(options))) {}

runtime::~runtime() = default;

std::string runtime::submit(solve_request request) {
  if (request.id.empty()) request.id = impl_->ids.next(unix_ms_now());
  auto id = request.id;
  const auto box = impl_->box;
  box->open(id);
  impl_->desk.order<finished_tree>(
      std::move(request),
      [box](const finished_tree& done) {
        box->finish({done.value->id, done.value, {}});
      },
      [box, id, &system = impl_->house.system()](const caf::error& why) {
        box->finish({id, nullptr, system.render(why)});
      });
  return id;
}

std::optional<finished_work> runtime::take(std::chrono::milliseconds patience) {
  return impl_->box->take(patience);
}

/// What has just ended is in the inbox.
void runtime::look(const std::string& id) {
  impl_->desk.run([box = impl_->box, node = impl_->desk.node(), id](caf::event_based_actor* self) {
    const auto unknown = [](const caf::error&) {};
    const auto show_thread = [box, id](thread_status& one) { box->show(id, one.record); };
    const auto show_tree = [=](const tree_status& now) {
      box->show(now.value);
      for (const auto& thread : now.value->threads)
        if (!ended(thread.phase))
          node_desk::look<thread_status>(self, node, thread_request{id, thread.path}, show_thread,
                                         unknown);
    };
    node_desk::look<tree_status>(self, node, tree_request{id}, show_tree, unknown);
  });
}

std::optional<live_tree> runtime::seen(const std::string& id) const {
  auto now = impl_->box->seen(id);
  if (!now) return {};
  live_tree live{std::move(*now), {}};
  for (const auto& row : impl_->house.board()->snapshot_of(id))
    live.tokens[row.thread] = row.tokens;
  return live;
}

/// Behind all that the node was asked for before.
void runtime::cancel_all() {
  impl_->desk.run([node = impl_->desk.node()](caf::event_based_actor* self) {
    self->send(node, atom::drain_v);
  });
}

} // namespace banyan
