#include "solver/unix_time.hpp"

#include <chrono>

namespace banyan {

std::int64_t unix_ms_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

} // namespace banyan
