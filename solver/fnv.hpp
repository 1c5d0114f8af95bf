#pragma once

#include <cstdint>
#include <string_view>

namespace banyan {

inline constexpr std::uint64_t fnv_prime = 0x100000001b3;

/// FNV-1a, 64 bits: the same on every machine, unlike std::hash.
constexpr std::uint64_t fnv1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * fnv_prime;
  return hash;
}

} // namespace banyan
