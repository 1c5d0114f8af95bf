#pragma once

#include "apps/serving/forest.hpp"
#include "trainer/tree_store.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <variant>

namespace banyan {

/// Reads a store's file on an OS thread of its own, while the store writes it. Questions are
/// answered in their order; those that nobody wants to know any more are left out.
class store_reader {
public:
  static constexpr std::size_t most_waiting = 256;

  /// `log` gets a line for an exception that an answer threw; may be null.
  store_reader(const std::filesystem::path&, std::function<void(std::string_view)> log);
  ~store_reader();
  store_reader(const store_reader&) = delete;
  store_reader& operator=(const store_reader&) = delete;

  /// Answers with what `look` finds, from the reader's OS thread; with what it threw as a refusal;
  /// at once that there is no room where too many wait already.
  template <class T, class Look>
  void read(answer_to<T> answer, Look look) {
    const auto wanted = answer.wanted;
    const auto full =
        !post({wanted, [answer, look](const tree_store& store) { answer(found<T>(store, look)); }});
    if (full) answer(too_many());
  }

private:
  struct task {
    still_wanted wanted;
    std::function<void(const tree_store&)> work;

    bool is_wanted() const { return !wanted || *wanted; }
  };

  template <class T, class Look>
  static std::variant<T, refusal> found(const tree_store& store, const Look& look) {
    try {
      return look(store);
    } catch (const std::exception&) {
      return why_not();
    }
  }

  static refusal why_not(); ///< of the exception that is being handled
  static refusal too_many();
  bool post(task); ///< false: there is no room
  void run();
  void work_on(const task&);

  tree_store store_;
  std::function<void(std::string_view)> log_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<task> tasks_;
  bool closing_ = false;
  std::thread thread_; // last: it uses the rest
};

} // namespace banyan
