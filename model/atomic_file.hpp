#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace banyan {

/// A file that appears whole or not at all: bytes go into a temporary beside it, `commit` syncs
/// that, renames it over the name and syncs the folder. Destroyed without `commit` it leaves no
/// trace. Every failure is a std::system_error with the errno that begins with the path.
class atomic_file {
public:
  explicit atomic_file(std::filesystem::path);
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  void write(const void* data, std::size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void commit();

private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// "<path>.tmp-<process>-<number>": never used twice by one process. A killed process may have left
/// one of that name: take the next if it is there.
std::filesystem::path temporary_beside(const std::filesystem::path&);

/// The path as it will be called, for messages: without what `temporary_beside` of this process put
/// behind it or behind a folder above it.
std::filesystem::path lasting_name(const std::filesystem::path&);

/// Makes names in a folder (created, renamed, removed) survive a crash.
void sync_folder(const std::filesystem::path&);

/// The folder that holds a path; "." for a bare name.
std::filesystem::path folder_of(const std::filesystem::path&);

} // namespace banyan
