#pragma once

#include <cstddef>

#include <restinio/all.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace banyan {

/// A file that is given up for a moment where a process has as many open as it may.
class spare_file {
public:
  spare_file() : descriptor_(open()) {}
  ~spare_file() { close(descriptor_); }
  spare_file(const spare_file&) = delete;
  spare_file& operator=(const spare_file&) = delete;

  /// One more file could be opened now.
  static bool is_room() {
    const int probe = open();
    close(probe);
    return probe >= 0;
  }

  /// Whoever knocks at this socket, which does not block, is let in and sent away.
  void send_one_away(int acceptor) {
    close(descriptor_);
    close(::accept4(acceptor, nullptr, nullptr, SOCK_CLOEXEC));
    descriptor_ = open();
  }

private:
  static int open() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
  static void close(int descriptor) {
    if (descriptor >= 0) ::close(descriptor);
  }

  int descriptor_;
};

/// Lets so many clients in at a time; the others wait. It takes the place of RESTinio's own
/// limiter, under which an acceptor whose `accept` fails once, for want of a file, never accepts
/// again, and a client that leaves before it is looked at keeps its place for ever.
class doorkeeper {
  using acceptor_calls = restinio::connection_count_limits::impl::acceptor_callback_iface_t;

public:
  doorkeeper(restinio::not_null_pointer_t<acceptor_calls> calls,
             restinio::connection_count_limits::max_parallel_connections_t most,
             restinio::connection_count_limits::max_active_accepts_t)
      : calls_(calls), most_(most.value()) {
    latest = this;
  }
  doorkeeper(const doorkeeper&) = delete;
  doorkeeper& operator=(const doorkeeper&) = delete;

  /// RESTinio makes it deep inside of a server: the one made last on this OS thread.
  inline static thread_local doorkeeper* latest = nullptr;

  /// Before the first client.
  void stand_at(asio::ip::tcp::acceptor& door) { door_ = &door; }

  // ---- as RESTinio calls it

  void increment_parallel_connections() noexcept { ++inside_; }
  void decrement_parallel_connections() noexcept {
    --inside_;
    if (!full_ || inside_ >= most_) return;
    full_ = false;
    calls_->schedule_next_accept_attempt(0);
  }

  void accept_next(std::size_t index) noexcept {
    full_ = inside_ >= most_;
    if (full_) return;
    door_->async_wait(asio::socket_base::wait_read, [this, index](const auto& error) {
      if (error) return; // the door is closed; whatever was here may be gone
      if (spare_file::is_room()) return calls_->call_accept_now(index);
      spare_.send_one_away(door_->native_handle());
      accept_next(index);
    });
  }

private:
  restinio::not_null_pointer_t<acceptor_calls> calls_;
  const std::size_t most_;
  asio::ip::tcp::acceptor* door_ = nullptr;
  spare_file spare_;
  std::size_t inside_ = 0;
  bool full_ = false; ///< nobody waits at the door
};

} // namespace banyan
