#pragma once

#include <csignal>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

namespace banyan {

/// Another process: runs `work` and ends with 0 unless it throws.
class process {
public:
  template <class Work>
  explicit process(Work work) : id_(::fork()) {
    if (id_ != 0) return;
    int code = 0;
    try {
      work();
    } catch (...) {
      code = 1;
    }
    ::_exit(code);
  }
  process(const process&) = delete;
  ~process() { end(SIGKILL); }

  void kill() { end(SIGKILL); }
  bool succeeds() { return code() == 0; }
  /// What it exits with; -1: it does not.
  int code() {
    const int status = end(0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

private:
  int end(int signal) {
    int status = -1;
    if (id_ <= 0) return status;
    if (signal != 0) ::kill(id_, signal);
    ::waitpid(std::exchange(id_, 0), &status, 0);
    return status;
  }

  pid_t id_;
};

} // namespace banyan
