#pragma once

#include "apps/seconds.hpp"
#include "apps/serving/http.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <restinio/asio_include.hpp>

namespace banyan {

/// The loop over asio. May outlive its io_context once it is closed.
class io_loop : public http_loop {
public:
  explicit io_loop(asio::io_context& io) : io_(&io) {}

  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    if (io_) asio::post(*io_, std::move(work));
  }
  void after(double seconds, std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    if (!io_) return;
    const auto timer = std::make_shared<asio::steady_timer>(*io_, milliseconds_of(seconds));
    timer->async_wait([timer, work = std::move(work)](auto error) {
      if (!error) work();
    });
  }

  /// Nothing is taken any more.
  void close() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

private:
  std::mutex mutex_;
  asio::io_context* io_;
};

} // namespace banyan
