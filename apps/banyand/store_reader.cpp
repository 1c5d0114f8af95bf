#include "apps/banyand/store_reader.hpp"

#include <utility>

namespace banyan {

store_reader::store_reader(const std::filesystem::path& file)
    : store_(file, {.read_only = true}), thread_([this] { run(); }) {}

store_reader::~store_reader() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

void store_reader::post(task work) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(work));
  }
  arrived_.notify_one();
}

void store_reader::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    auto work = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    work(store_);
  }
}

} // namespace banyan
