#include "apps/banyand/data_folder.hpp"

#include "apps/failure.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace banyan {

namespace {

namespace fs = std::filesystem;

constexpr auto remedy = "name another --data-dir";

/// A link would be looked behind if a slash followed.
fs::path without_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

/// What is above it stays open to its user, whoever that will be.
void make(const fs::path& folder) {
  std::error_code wrong;
  if (const auto above = folder.parent_path(); !above.empty()) fs::create_directories(above, wrong);
  if (wrong) throw bad_environment(folder.string(), wrong.message(), remedy);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw bad_environment(folder.string(), std::strerror(errno), remedy);
}

struct account {
  uid_t user;
  gid_t group;
};

/// Nobody where there is no such user, of whom `become` says what is wrong.
std::optional<account> account_of(const std::string& user) {
  const auto* known = user.empty() ? nullptr : ::getpwnam(user.c_str());
  if (!known) return {};
  return account{known->pw_uid, known->pw_gid};
}

} // namespace

data_folder::data_folder(const fs::path& folder, const std::string& owner)
    : path_(without_slash(folder)) {
  make(path_);
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  folder_ = ::open(path_.c_str(), flags | O_NOFOLLOW);
  if (folder_ >= 0) {
    if (is_to_be_had(owner)) make_private(owner);
    return;
  }
  // What a link leads to is used as it is.
  if (errno == ELOOP || errno == ENOTDIR) folder_ = ::open(path_.c_str(), flags);
  if (folder_ < 0) throw bad_environment(path_.string(), std::strerror(errno), remedy);
}

data_folder::~data_folder() {
  if (lock_ >= 0) ::close(lock_);
  if (folder_ >= 0) ::close(folder_);
}

void data_folder::lock() {
  const auto file = (path_ / "lock").string();
  lock_ = ::openat(folder_, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock_ < 0 && errno == ELOOP)
    throw bad_environment(file, "it is a symbolic link", std::string("remove it, or ") + remedy);
  if (lock_ < 0) throw bad_environment(file, std::strerror(errno), remedy);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0)
    throw bad_environment(path_.string(), "another banyand or a run uses it",
                          std::string("end that one, or ") + remedy);
}

bool data_folder::is_to_be_had(const std::string& owner) const {
  struct stat found {};
  if (::fstat(folder_, &found) != 0 || (found.st_mode & S_IWOTH) != 0) return false;
  const auto wanted = account_of(owner);
  const bool ours = found.st_uid == ::geteuid() || (wanted && found.st_uid == wanted->user);
  return ours && is_empty();
}

bool data_folder::is_empty() const {
  const int again = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> list(again < 0 ? nullptr : ::fdopendir(again),
                                                 ::closedir);
  if (!list) return false;
  while (const auto* entry = ::readdir(list.get()))
    if (const std::string_view name = entry->d_name; name != "." && name != "..") return false;
  return true;
}

void data_folder::make_private(const std::string& owner) const {
  static_cast<void>(::fchmod(folder_, 0700));
  const auto wanted = account_of(owner);
  if (wanted && ::geteuid() == 0) static_cast<void>(::fchown(folder_, wanted->user, wanted->group));
}

} // namespace banyan
