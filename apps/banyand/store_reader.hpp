#pragma once

#include "trainer/tree_store.hpp"

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

namespace banyan {

/// Reads a store's file on an OS thread of its own, while the store writes it.
class store_reader {
public:
  using task = std::function<void(const tree_store&)>;

  explicit store_reader(const std::filesystem::path&);
  ~store_reader();

  /// Calls `work` on the reader's OS thread, in the order of the calls. It must not throw.
  void post(task work);

private:
  void run();

  tree_store store_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<task> tasks_;
  bool closing_ = false;
  std::thread thread_; // last: it uses the rest
};

} // namespace banyan
