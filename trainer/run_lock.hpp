#pragma once

#include <filesystem>
#include <stdexcept>

namespace banyan {

/// Another process, or another run of this one, has the folder.
struct folder_in_use : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A folder that is one run's alone as long as this lives: `folder/lock`, locked by flock, which
/// ends with its process however that ends. The file itself stays.
class run_lock {
public:
  /// Throws folder_in_use, or std::system_error where the file cannot be opened or locked.
  explicit run_lock(const std::filesystem::path& folder);
  ~run_lock();
  run_lock(const run_lock&) = delete;
  run_lock& operator=(const run_lock&) = delete;

private:
  int descriptor_ = -1;
};

} // namespace banyan
