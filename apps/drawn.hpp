#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

namespace banyan {

/// Random, and not to be foretold.
inline std::uint64_t drawn_bits() {
  std::random_device chance;
  return std::uint64_t{chance()} << 32 | chance();
}

/// So many such digits in hexadecimal.
inline std::string drawn_name(std::size_t digits) {
  std::string name;
  while (name.size() < digits) {
    char more[17];
    std::snprintf(more, sizeof more, "%016llx", static_cast<unsigned long long>(drawn_bits()));
    name += more;
  }
  return name.substr(0, digits);
}

} // namespace banyan
