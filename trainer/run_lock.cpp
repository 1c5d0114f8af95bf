#include "trainer/run_lock.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace banyan {

run_lock::run_lock(const std::filesystem::path& folder) {
  const auto file = (folder / "lock").string();
  // Closed where a program is started: one that outlives us must not keep the folder.
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), file);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const auto why = errno;
  ::close(descriptor_);
  if (why == EWOULDBLOCK)
    throw folder_in_use(
        folder.string()
        + ": another run or a banyand uses it; wait for its end, or take another folder");
  throw std::system_error(why, std::generic_category(), file);
}

run_lock::~run_lock() { ::close(descriptor_); }

} // namespace banyan
