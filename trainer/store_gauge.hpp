#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

namespace banyan {

struct store_counts {
  std::uint64_t finished = 0, unfinished = 0, bytes = 0; ///< trees, trees, size of the files
};

/// Of a store's file, with what SQLite keeps beside it.
std::uint64_t bytes_of_store(const std::filesystem::path&);

/// How much a store has, for whoever wants to know without waiting for it, on any OS thread: as of
/// its last commit.
class store_gauge {
public:
  store_gauge(std::filesystem::path file, const store_counts& now);

  void add(std::int64_t finished, std::int64_t unfinished);
  store_counts read() const;

private:
  std::filesystem::path file_;
  std::atomic<std::uint64_t> finished_, unfinished_;
};

} // namespace banyan
