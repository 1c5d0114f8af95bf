#pragma once

#include "apps/serving/speaking_socket.hpp"

#include <cstddef>
#include <memory>
#include <utility>

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

/// Lets so many clients in at a time; a few more are told so at the door, and the others wait. It
/// takes the place of RESTinio's own limiter, under which an acceptor whose `accept` fails once,
/// for want of a file, never accepts again, and a client that leaves before it is looked at keeps
/// its place for ever.
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

  /// Before the first client. `no_room`: what is said to one for whom there is none.
  void stand_at(asio::ip::tcp::acceptor& door, short_visit::answer_to_head no_room) {
    door_ = &door;
    no_room_ = std::move(no_room);
  }

  // ---- as RESTinio calls it

  void increment_parallel_connections() noexcept { ++inside_; }
  void decrement_parallel_connections() noexcept {
    --inside_;
    go_on();
  }

  void accept_next(std::size_t index) noexcept {
    full_ = inside_ >= most_ && visitors_ >= most_visitors;
    if (full_) return;
    door_->async_wait(asio::socket_base::wait_read, [this, index](const auto& error) {
      if (error) return; // the door is closed; whatever was here may be gone
      if (inside_ < most_ && spare_file::is_room()) return calls_->call_accept_now(index);
      spare_file::is_room() ? turn_away() : spare_.send_one_away(door_->native_handle());
      accept_next(index);
    });
  }

private:
  static constexpr std::size_t most_visitors = 16;

  void go_on() {
    if (!full_) return;
    full_ = false;
    calls_->schedule_next_accept_attempt(0);
  }

  /// The visitor may outlive this object.
  void turn_away() {
    const auto client = ::accept4(door_->native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return; // it has left
    asio::error_code ignored;
    asio::ip::tcp::socket socket(door_->get_executor());
    socket.assign(door_->local_endpoint().protocol(), client, ignored);
    ++visitors_;
    std::shared_ptr<void> place(nullptr, [this, here = std::weak_ptr(here_)](void*) {
      if (here.expired()) return;
      --visitors_;
      go_on();
    });
    std::make_shared<short_visit>(std::move(socket), no_room_, std::move(place))->start();
  }

  restinio::not_null_pointer_t<acceptor_calls> calls_;
  const std::size_t most_;
  asio::ip::tcp::acceptor* door_ = nullptr;
  short_visit::answer_to_head no_room_;
  std::shared_ptr<char> here_ = std::make_shared<char>();
  std::size_t visitors_ = 0;
  spare_file spare_;
  std::size_t inside_ = 0;
  bool full_ = false; ///< nobody waits at the door
};

} // namespace banyan
