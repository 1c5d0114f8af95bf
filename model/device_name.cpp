#include "model/device_name.hpp"

#include <charconv>

namespace banyan {

std::optional<device_name> parse_device(std::string_view name) {
  if (name == "cpu") return device_name{};
  device_name device{device_name::kind::cuda, 0};
  if (name == "cuda") return device;
  if (!name.starts_with("cuda:")) return {};
  const auto digits = name.substr(5);
  const auto end = digits.data() + digits.size();
  const auto [stopped, wrong] = std::from_chars(digits.data(), end, device.index);
  if (wrong != std::errc{} || stopped != end || device.index < 0) return {};
  return device;
}

std::string to_string(const device_name& device) {
  if (device.type == device_name::kind::cpu) return "cpu";
  return "cuda:" + std::to_string(device.index);
}

} // namespace banyan
