#include "apps/interrupt.hpp"

#include <csignal>

#include <unistd.h>

namespace banyan {

namespace {

volatile std::sig_atomic_t caught = 0, at_once = 0;

void on_signal(int number) {
  if (caught != 0 || at_once != 0) ::_exit(128 + number);
  caught = number;
}

} // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int interrupted() { return caught; }

ends_at_once::ends_at_once() { at_once = 1; }
ends_at_once::~ends_at_once() { at_once = 0; }

} // namespace banyan
