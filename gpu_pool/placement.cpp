#include "gpu_pool/placement.hpp"

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

std::optional<std::size_t> choose_pool(std::span<const pool_load> pools,
                                       std::optional<std::size_t> parents) {
  if (parents && pools[*parents].live < pools[*parents].capacity) return parents;
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (pools[i].capacity == 0) continue;
    // live / capacity, compared without division
    if (!best || pools[i].live * pools[*best].capacity < pools[*best].live * pools[i].capacity)
      best = i;
  }
  return best;
}

} // namespace banyan
