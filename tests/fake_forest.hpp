#pragma once

#include "apps/serving/forest.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace banyan {

/// A forest without actors: trees do what the test says. It answers on an OS thread of its own.
class fake_forest : public forest {
public:
  fake_forest() : worker_([this] { work(); }) {}
  explicit fake_forest(event_hub::limits l) : hub(l), worker_([this] { work(); }) {}
  ~fake_forest() override {
    {
      const std::lock_guard lock(jobs_mutex_);
      over_ = true;
    }
    jobs_changed_.notify_all();
    worker_.join();
  }

  // ---- what the test says

  event_hub hub;
  std::optional<refusal> refuse;    ///< whatever is asked
  bool at_once = false;             ///< trees are finished as soon as they are submitted
  std::vector<std::string> damaged; ///< what a list says of itself
  bool throws = false;              ///< whatever is asked
  bool forgets = false;             ///< never answers
  forest_status now;
  std::vector<thread_row> rows;
  std::function<void()> before_find; ///< called when a tree is looked for, on the caller's thread
  /// Called in place of decoding, on the forest's OS thread.
  std::function<void(std::uint64_t handle, const completion_request&,
                     std::function<void(completion_piece)>, const answer_to<completion_end>&)>
      decode;

  static tree running_tree(const std::string& id, std::int64_t created_ms = 1795339800123) {
    tree t;
    t.id = id;
    t.problem = {{5, 50, 79, 27}, 62};
    t.prompt = "Moving to Node #0\n";
    t.phase = tree_phase::running;
    t.created_ms = created_ms;
    auto& root = t.add("/");
    root.phase = thread_phase::decoding;
    root.since_ms = created_ms + 77;
    root.pool = "cpu:0";
    root.node = "local";
    root.history = {{thread_phase::queued, created_ms}, {thread_phase::decoding, created_ms + 77}};
    root.segments = {{segment_kind::prompt, t.prompt, {1, 2}, {}, {}},
                     {segment_kind::written, "so far\n", {3, 4, 5}, {-1, -1, -1}, {0, 0, 0}}};
    return t;
  }
  static void finish(tree& t, tree_phase phase = tree_phase::done) {
    t.phase = phase;
    t.finished_ms = t.created_ms + 250;
    const bool solved = phase == tree_phase::done;
    t.failure = solved ? errc::none : errc::cancelled;
    if (solved) t.outcome = {true, true, {"50/5=10", "79-27=52", "52+10=62"}, "path\n"};
    for (auto& thread : t.threads) {
      thread.phase = solved ? thread_phase::done : thread_phase::cancelled;
      thread.since_ms = t.finished_ms;
      if (solved) thread.solution = "path\n";
    }
  }

  void put(tree t) {
    const std::lock_guard lock(mutex_);
    order_.push_back(t.id);
    trees_[t.id] = std::move(t);
  }
  void change(const std::string& id, const std::function<void(tree&)>& how) {
    const std::lock_guard lock(mutex_);
    how(trees_.at(id));
  }
  /// Ends a tree: who waits for it gets it, who watches is told.
  void end(const std::string& id, tree_phase phase = tree_phase::done) {
    const std::lock_guard lock(mutex_);
    end_locked(id, phase);
  }

  template <class Condition>
  void wait_until(Condition holds) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10), holds))
      throw std::runtime_error("what the test waits for did not happen");
  }
  std::string wait_for_tree(std::size_t number = 1) {
    wait_until([&] { return submitted.size() >= number; });
    return submitted.at(number - 1).id;
  }
  tree_phase phase_of(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return trees_.at(id).phase;
  }

  // ---- what happened; under the lock of `wait_until`

  std::vector<solve_request> submitted;
  std::vector<std::string> acted; ///< "cancel T1 /0"
  std::vector<completion_request> completions;
  std::set<std::uint64_t> stopped;

  // ---- the forest

  void submit(solve_request request, answer_to<std::string> accepted,
              answer_to<tree_ptr> finished) override {
    run([=, this]() mutable {
      if (refuse) return finished ? finished(*refuse) : accepted(*refuse);
      const std::lock_guard lock(mutex_);
      request.id = "T" + std::to_string(submitted.size() + 1);
      auto t = running_tree(request.id);
      t.problem = request.problem;
      t.labels = request.labels;
      t.seed = request.sampling.seed;
      order_.push_back(t.id);
      trees_[t.id] = std::move(t);
      submitted.push_back(request);
      if (accepted) accepted(request.id);
      if (finished) waiting_[request.id] = std::move(finished);
      if (at_once) end_locked(request.id, tree_phase::done);
      changed_.notify_all();
    });
  }

  void find(const std::string& id, const std::optional<thread_range>& texts,
            answer_to<tree_ptr> answer) override {
    if (before_find) before_find();
    reply<tree_ptr>(std::move(answer), [=, this]() -> std::variant<tree_ptr, refusal> {
      const std::lock_guard lock(mutex_);
      const auto found = trees_.find(id);
      if (found == trees_.end()) return no_tree(id);
      return texts ? std::make_shared<tree>(found->second) : outline(found->second);
    });
  }

  void find_thread(const std::string& id, const std::string& path,
                   answer_to<thread_view> answer) override {
    reply<thread_view>(std::move(answer), [=, this]() -> std::variant<thread_view, refusal> {
      const std::lock_guard lock(mutex_);
      const auto found = trees_.find(id);
      if (found == trees_.end()) return no_tree(id);
      const auto* thread = found->second.find(path);
      if (!thread)
        return refusal{refusal::kind::not_found, path + ": no such thread; look at the tree"};
      return thread_view{*thread, !ended(thread->phase), 3, true, UINT64_MAX, 15, 12.5};
    });
  }

  void list(tree_filter filter, answer_to<tree_page> answer) override {
    reply<tree_page>(std::move(answer), [=, this]() -> std::variant<tree_page, refusal> {
      const std::lock_guard lock(mutex_);
      tree_page found{{}, damaged};
      auto& trees = found.trees;
      bool behind = filter.after.empty();
      if (!behind && !trees_.contains(filter.after))
        return refusal{refusal::kind::bad_request, "after: no such tree; list anew", "after"};
      for (auto id = order_.rbegin(); id != order_.rend() && trees.size() < filter.limit; ++id) {
        if (behind && passes(filter, trees_.at(*id))) trees.push_back(outline(trees_.at(*id)));
        behind = behind || *id == filter.after;
      }
      return found;
    });
  }

  void act(tree_action action, const std::string& id, const std::string& path,
           answer_to<tree_ptr> answer) override {
    reply<tree_ptr>(std::move(answer), [=, this]() -> std::variant<tree_ptr, refusal> {
      const std::lock_guard lock(mutex_);
      const char* names[] = {"cancel ", "pause ", "resume "};
      acted.push_back(names[static_cast<int>(action)] + id + ' ' + path);
      changed_.notify_all();
      const auto found = trees_.find(id);
      if (found == trees_.end()) return no_tree(id);
      auto& t = found->second;
      if (t.finished_ms != 0)
        return refusal{refusal::kind::conflict, id + ": it is finished; there is nothing to do"};
      if (action == tree_action::cancel) end_locked(id, tree_phase::cancelled);
      if (action == tree_action::pause) t.phase = tree_phase::paused;
      if (action == tree_action::resume) t.phase = tree_phase::running;
      return outline(t);
    });
  }

  thread_page threads(std::size_t offset, std::size_t limit) const override {
    const auto begin = rows.begin() + std::ptrdiff_t(std::min(offset, rows.size()));
    const auto count = std::min<std::size_t>(limit, rows.end() - begin);
    return {{begin, begin + std::ptrdiff_t(count)}, rows.size()};
  }

  void status(answer_to<forest_status> answer) override {
    reply<forest_status>(std::move(answer),
                         [this]() -> std::variant<forest_status, refusal> { return now; });
  }

  std::uint64_t complete(completion_request request, std::function<void(completion_piece)> on_piece,
                         answer_to<completion_end> answer) override {
    const auto handle = ++handles_;
    run([=, this] {
      {
        const std::lock_guard lock(mutex_);
        completions.push_back(request);
      }
      changed_.notify_all();
      if (refuse) return answer(*refuse);
      if (decode) decode(handle, request, on_piece, answer);
    });
    return handle;
  }
  void stop_completion(std::uint64_t handle) override {
    const std::lock_guard lock(mutex_);
    stopped.insert(handle);
    changed_.notify_all();
  }

  model_facts model() const override {
    return {"countdown-3", "models/countdown-3", 19'000'000, 4096, 128, 1795000000};
  }
  event_hub& events() override { return hub; }

private:
  static refusal no_tree(const std::string& id) {
    return {refusal::kind::not_found, id + ": no such tree; list them"};
  }

  static tree_ptr outline(const tree& whole) {
    return std::make_shared<const tree>(banyan::outline(whole));
  }

  static bool passes(const tree_filter& f, const tree& t) {
    const auto one_of = [](const auto& list, const auto& value) {
      return list.empty() || std::ranges::find(list, value) != list.end();
    };
    for (const auto& [name, value] : f.labels)
      if (const auto i = t.labels.find(name); i == t.labels.end() || i->second != value)
        return false;
    return one_of(f.states, t.phase) && (!f.solved || *f.solved == t.outcome.solved)
           && (f.task.empty() || f.task == t.task)
           && (f.created_from_ms == 0 || t.created_ms >= f.created_from_ms)
           && (!f.created_before_ms || t.created_ms < *f.created_before_ms);
  }

  void end_locked(const std::string& id, tree_phase phase) {
    auto& t = trees_.at(id);
    finish(t, phase);
    hub.publish(end_of(t));
    if (const auto waiter = waiting_.find(id); waiter != waiting_.end()) {
      waiter->second(std::make_shared<tree>(t));
      waiting_.erase(waiter);
    }
    changed_.notify_all();
  }

  template <class T, class Make>
  void reply(answer_to<T> answer, Make make) {
    if (throws) throw std::runtime_error("the fake forest throws");
    if (forgets) return;
    run([=, this] { answer(refuse ? std::variant<T, refusal>(*refuse) : make()); });
  }

  void run(std::function<void()> job) {
    const std::lock_guard lock(jobs_mutex_);
    jobs_.push_back(std::move(job));
    jobs_changed_.notify_all();
  }
  void work() {
    std::unique_lock lock(jobs_mutex_);
    for (;;) {
      jobs_changed_.wait(lock, [this] { return over_ || !jobs_.empty(); });
      if (over_) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, tree> trees_;
  std::vector<std::string> order_;
  std::map<std::string, answer_to<tree_ptr>> waiting_;
  std::atomic<std::uint64_t> handles_{0};

  std::mutex jobs_mutex_;
  std::condition_variable jobs_changed_;
  std::deque<std::function<void()>> jobs_;
  bool over_ = false;
  std::thread worker_; // last: it uses all of the above
};

} // namespace banyan
