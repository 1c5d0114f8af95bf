#include "gpu_pool/stop_strings.hpp"

#include <algorithm>

namespace banyan {

std::optional<std::size_t> find_stop(std::string& tail, std::string_view piece,
                                     std::span<const std::string> strings) {
  tail += piece;
  std::optional<std::size_t> first;
  std::size_t first_end = std::string::npos, longest = 1;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    longest = std::max(longest, strings[i].size());
    const auto begin = tail.find(strings[i]);
    if (begin == std::string::npos || begin + strings[i].size() >= first_end) continue;
    first = i;
    first_end = begin + strings[i].size();
  }
  // Only so much can be the beginning of a string that is still incomplete.
  if (tail.size() >= longest) tail.erase(0, tail.size() - longest + 1);
  return first;
}

} // namespace banyan
