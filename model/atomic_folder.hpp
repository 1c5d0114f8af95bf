#pragma once

#include <filesystem>

namespace banyan {

/// A folder that appears whole or not at all, in the place of an earlier one of the name: it is
/// filled under a temporary name beside its target; `commit` syncs all that is in it and exchanges
/// it with the target. Without `commit` it leaves no trace. Every failure is a std::system_error.
class atomic_folder {
public:
  /// Makes the folders above the target where they are missing.
  explicit atomic_folder(const std::filesystem::path& target);
  ~atomic_folder();
  atomic_folder(const atomic_folder&) = delete;
  atomic_folder& operator=(const atomic_folder&) = delete;

  /// Where to write until `commit`.
  const std::filesystem::path& path() const { return path_; }
  void commit();

private:
  std::filesystem::path target_, path_;
};

} // namespace banyan
