#pragma once

#include <cstdint>
#include <optional>
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

} // namespace banyan
