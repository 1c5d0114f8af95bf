#include "apps/serving/store_reader.hpp"

#include "apps/serving/refusals.hpp"

#include <string>
#include <utility>

namespace banyan {

store_reader::store_reader(const std::filesystem::path& file,
                           std::function<void(std::string_view)> log)
    : store_(file, {.read_only = true}), log_(std::move(log)), thread_([this] { run(); }) {}

store_reader::~store_reader() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

refusal store_reader::why_not() {
  try {
    throw;
  } catch (const std::invalid_argument& why) {
    const std::string text = why.what();
    return refused(refusal::kind::bad_request, text, text.substr(0, text.find(':')));
  } catch (const std::exception& why) {
    return refused(refusal::kind::internal, why.what());
  }
}

refusal store_reader::too_many() {
  return refused(refusal::kind::unavailable, "store: too many wait for it; try again in a moment");
}

bool store_reader::post(task t) {
  {
    const std::lock_guard lock(mutex_);
    if (tasks_.size() >= most_waiting)
      std::erase_if(tasks_, [](const task& old) { return !old.is_wanted(); });
    if (tasks_.size() >= most_waiting) return false;
    tasks_.push_back(std::move(t));
  }
  arrived_.notify_one();
  return true;
}

void store_reader::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const auto next = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    if (next.is_wanted()) work_on(next);
  }
}

void store_reader::work_on(const task& t) {
  try {
    t.work(store_);
  } catch (const std::exception& why) {
    if (log_) log_(std::string("an answer from the store was lost: ") + why.what());
  }
}

} // namespace banyan
