#pragma once

#include <csignal>

#include <sys/resource.h>

namespace banyan {

/// While it lives, no file of this process can grow beyond `bytes`: writing fails as on a full
/// disk.
class file_limit {
public:
  explicit file_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &earlier_);
    const rlimit lower{bytes, earlier_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~file_limit() {
    ::setrlimit(RLIMIT_FSIZE, &earlier_);
    std::signal(SIGXFSZ, handler_);
  }
  file_limit(const file_limit&) = delete;
  file_limit& operator=(const file_limit&) = delete;

private:
  void (*handler_)(int);
  rlimit earlier_{};
};

} // namespace banyan
