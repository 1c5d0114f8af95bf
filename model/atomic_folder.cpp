#include "model/atomic_folder.hpp"

#include "model/atomic_file.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace banyan {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(int error, const char* what, const fs::path& path) {
  throw std::system_error(error, std::generic_category(),
                          lasting_name(path).string() + ": " + what);
}

void sync_entry(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(errno, "cannot sync", path);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0) fail(error, "cannot sync", path);
}

// Where the file system cannot do it at once; a crash between the steps leaves the earlier one
// beside.
void exchange_in_steps(const fs::path& fresh, const fs::path& target) {
  const auto earlier = temporary_beside(target);
  fs::rename(target, earlier);
  std::error_code error;
  fs::rename(fresh, target, error);
  fs::rename(earlier, error ? target : fresh);
  if (error) throw std::system_error(error, target.string() + ": cannot replace");
}

void exchange(const fs::path& fresh, const fs::path& target) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail(errno, "cannot replace", target);
  exchange_in_steps(fresh, target);
}

} // namespace

atomic_folder::atomic_folder(const fs::path& target)
    : target_(target.has_filename() ? target : target.parent_path()) { // without a slash at its end
  create_directories(folder_of(target_));
  do path_ = temporary_beside(target_);
  while (!create_directory(path_)); // there already: what a killed process left
}

// After an exchange the temporary name is that of the earlier folder.
atomic_folder::~atomic_folder() {
  std::error_code ignored; // nothing refers to it, whether it could be removed or not
  remove_all(path_, ignored);
}

void atomic_folder::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(path_)) sync_entry(entry.path());
  sync_folder(path_);
  if (is_directory(target_))
    exchange(path_, target_);
  else
    fs::rename(path_, target_);
  sync_folder(folder_of(target_));
}

} // namespace banyan
