#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace banyan {

/// Makes tree ids: 26 characters (ULID: 48 bits of Unix milliseconds, 80 random bits, Crockford
/// base 32) that sort by time, and within a millisecond by the order in which one source made them.
class tree_ids {
public:
  explicit tree_ids(std::uint64_t seed);

  std::string next(std::int64_t unix_ms);

private:
  std::uint64_t random();

  std::uint64_t state_;
  std::int64_t last_ms_ = -1;
  std::uint64_t high_ = 0,
                low_ = 0; ///< 16 and 64 bits that tell apart what was made in one millisecond
};

/// Whether it is made as `tree_ids` makes them.
bool is_tree_id(std::string_view);

} // namespace banyan
