#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace banyan {

/// A device as users write it: "cpu", "cuda" (which is "cuda:0") or "cuda:N".
struct device_name {
  enum class kind : std::uint8_t { cpu, cuda };
  kind type = kind::cpu;
  std::int32_t index = 0;

  bool operator==(const device_name&) const = default;
};

/// Nothing for a name that is not a device.
std::optional<device_name> parse_device(std::string_view);

/// As LibTorch writes it: "cpu", "cuda:1".
std::string to_string(const device_name&);

/// What a pool is busy with.
struct pool_load {
  std::uint64_t live = 0;     ///< sequences, queued or running
  std::uint64_t capacity = 0; ///< sequences that run at a time; 0: the pool is lost
};

/// The pool for a new thread. Its parent's if that has room in its batch, for its cache may know
/// the prompt; else the one that is least loaded for its capacity, of equals the first. Nothing if
/// all are lost.
std::optional<std::size_t> choose_pool(std::span<const pool_load>,
                                       std::optional<std::size_t> parents);

} // namespace banyan
