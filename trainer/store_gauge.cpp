#include "trainer/store_gauge.hpp"

#include <system_error>
#include <utility>

namespace banyan {

std::uint64_t bytes_of_store(const std::filesystem::path& file) {
  std::uint64_t bytes = 0;
  for (const auto* part : {"", "-wal", "-shm"}) {
    std::error_code absent;
    const auto size = std::filesystem::file_size(file.string() + part, absent);
    if (!absent) bytes += size;
  }
  return bytes;
}

store_gauge::store_gauge(std::filesystem::path file, const store_counts& now)
    : file_(std::move(file)), finished_(now.finished), unfinished_(now.unfinished) {}

void store_gauge::add(std::int64_t finished, std::int64_t unfinished) {
  finished_ += static_cast<std::uint64_t>(finished);
  unfinished_ += static_cast<std::uint64_t>(unfinished);
}

store_counts store_gauge::read() const { return {finished_, unfinished_, bytes_of_store(file_)}; }

} // namespace banyan
