#include "apps/banyand/service.hpp"

#include "apps/failure.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace banyan {

namespace {

sigset_t held_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

} // namespace

void notify_manager(const std::string& state) {
  const auto* name = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!name || std::strlen(name) < 2 || std::strlen(name) >= sizeof address.sun_path) return;
  std::strcpy(address.sun_path, name);
  if (name[0] == '@') address.sun_path[0] = 0; // an abstract one
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(name));
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  // A manager that cannot be told is not the daemon's trouble.
  static_cast<void>(::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), size));
  ::close(socket);
}

std::optional<std::chrono::milliseconds> watchdog_interval() {
  const auto* microseconds = std::getenv("WATCHDOG_USEC");
  const auto* process = std::getenv("WATCHDOG_PID");
  if (!microseconds || (process && std::atol(process) != ::getpid())) return {};
  const auto limit = std::atoll(microseconds);
  if (limit <= 0) return {};
  return std::chrono::milliseconds(std::max<long long>(limit / 2000, 1));
}

void become(const std::string& user) {
  const auto* known = ::getpwnam(user.c_str());
  if (!known)
    throw bad_usage("--user " + user, "there is no such user", "make it, or name another");
  if (known->pw_uid == ::geteuid()) return;
  if (::initgroups(user.c_str(), known->pw_gid) != 0 || ::setgid(known->pw_gid) != 0
      || ::setuid(known->pw_uid) != 0)
    throw bad_environment("--user " + user, std::strerror(errno),
                          "start the daemon as root or as that user");
}

void hold_signals() {
  const auto set = held_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN); // a file at its limit is an error of its write
}

int next_signal(std::chrono::milliseconds patience) {
  const auto set = held_signals();
  const timespec limit{patience.count() / 1000, patience.count() % 1000 * 1000000};
  const int signal = ::sigtimedwait(&set, nullptr, &limit);
  return signal < 0 ? 0 : signal;
}

} // namespace banyan
