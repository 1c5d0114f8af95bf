#include "model/atomic_file.hpp"

#include "model/checkpoint.hpp"

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace banyan {
namespace {

[[noreturn]] void fail(const char* what, const std::filesystem::path& path) {
  const int why = errno;
  throw std::system_error(why, std::generic_category(), lasting_name(path).string() + ": " + what);
}

/// What this process puts behind a name, and a number.
std::string mark() { return ".tmp-" + std::to_string(::getpid()) + "-"; }

void sync(int descriptor, const std::filesystem::path& path) {
  while (::fsync(descriptor) != 0)
    if (errno != EINTR) fail("cannot sync", path);
}

} // namespace

std::filesystem::path folder_of(const std::filesystem::path& path) {
  auto parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  return path.string() + mark() + std::to_string(count++);
}

std::filesystem::path lasting_name(const std::filesystem::path& path) {
  auto name = path.string();
  for (auto begin = name.find(mark()); begin != name.npos; begin = name.find(mark(), begin)) {
    const auto end = name.find_first_not_of("0123456789", begin + mark().size());
    name.erase(begin, end == name.npos ? end : end - begin);
  }
  return name;
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("cannot open", folder);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (result != 0 && error != EINVAL) fail("cannot sync", folder); // EINVAL: a file system without
}

atomic_file::atomic_file(std::filesystem::path path) : path_(std::move(path)) {
  do {
    temporary_ = temporary_beside(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail("cannot create", temporary_);
}

atomic_file::~atomic_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void atomic_file::write(const void* data, std::size_t size) {
  for (auto* next = static_cast<const char*>(data); size > 0;) {
    const auto written = ::write(descriptor_, next, size);
    if (written < 0 && errno != EINTR) fail("cannot write", path_);
    if (written < 0) continue;
    next += written;
    size -= static_cast<std::size_t>(written);
  }
}

void atomic_file::commit() {
  sync(descriptor_, path_);
  // Network file systems report a failed write here at the latest.
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("cannot write", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot replace", path_);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  atomic_file file(path);
  file.write(bytes);
  file.commit();
}

} // namespace banyan
