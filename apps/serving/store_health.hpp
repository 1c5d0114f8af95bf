#pragma once

#include <mutex>
#include <string>

namespace banyan {

/// Whether the store can be written: its actor says so, whoever is asked for readiness looks.
class store_health {
public:
  void set(std::string trouble) {
    const std::lock_guard lock(mutex_);
    trouble_ = std::move(trouble);
  }

  /// Why not; empty: it can be.
  std::string trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }

private:
  mutable std::mutex mutex_;
  std::string trouble_;
};

} // namespace banyan
