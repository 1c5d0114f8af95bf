#include "apps/did_you_mean.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace banyan {

namespace {

/// Levenshtein's distance: how many characters to change, for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({diagonal + 1, row[j] + 1, replaced});
    }
  }
  return row[b.size()];
}

} // namespace

std::string did_you_mean(std::string_view name, std::span<const std::string_view> names,
                         const std::string& dashes, const std::string& otherwise) {
  const auto nearest = std::ranges::min_element(
      names, {}, [name](std::string_view known) { return distance(known, name); });
  if (nearest == names.end() || distance(*nearest, name) > 1 + name.size() / 4) return otherwise;
  return "did you mean " + dashes + std::string(*nearest) + "?";
}

} // namespace banyan
