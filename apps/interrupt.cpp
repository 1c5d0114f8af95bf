#include "apps/interrupt.hpp"

#include <csignal>
#include <ctime>

#include <unistd.h>

namespace banyan {

namespace {

volatile std::sig_atomic_t caught = 0, at_once = 0;
volatile long long caught_ms = 0;

void (*volatile tidy_up)() = nullptr;

[[noreturn]] void end_at_once(int number) {
  if (tidy_up) tidy_up();
  ::_exit(128 + number);
}

/// Of a clock that a signal handler may read.
long long milliseconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

/// `timeout` and shells send a signal to a process and to its group: that is one wish, not two.
constexpr long long same_wish_ms = 250;

void on_signal(int number) {
  if (at_once != 0) end_at_once(number);
  if (caught == 0) {
    caught = number;
    caught_ms = milliseconds_now();
  } else if (milliseconds_now() - caught_ms > same_wish_ms) {
    end_at_once(number);
  }
}

} // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  ::sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr); // no nohup
  std::signal(SIGPIPE, SIG_IGN);
}

int interrupted() { return caught; }

void before_ending_at_once(void (*tidy)()) { tidy_up = tidy; }

ends_at_once::ends_at_once() {
  at_once = 1;
  if (caught != 0) end_at_once(caught); // it came before
}
ends_at_once::~ends_at_once() { at_once = 0; }

} // namespace banyan
