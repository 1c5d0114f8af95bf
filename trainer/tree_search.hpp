#pragma once

#include "trainer/tree_store.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace banyan {

class database;

/// Where a tree stands in the order of lists.
struct place {
  std::int64_t created_ms = 0, seq = 0;
  auto operator<=>(const place&) const = default;
};

enum class direction : std::uint8_t { newest_first, oldest_first };

/// At most `limit` trees of a store that the filter lets through, behind a place; `after` and
/// `limit` of the filter count for nothing here. Takes time for what it finds, not for what the
/// store holds, as long as one condition is selective; whichever that is.
std::vector<place> find_places(database&, const tree_filter&, std::optional<place> behind,
                               std::size_t limit, direction);

} // namespace banyan
