#include "solver/errc.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace banyan {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 15> names{
    "none",         "no_solution",     "cancelled",  "deadline",    "budget_spent",
    "context_full", "malformed_spawn", "child_lost", "pool_lost",   "pool_full",
    "bad_request",  "not_stored",      "not_found",  "bad_weights", "no_weights"};
static_assert(names.size() == static_cast<std::size_t>(last_errc) + 1);

} // namespace

std::string_view to_string(errc code) { return names.at(static_cast<std::size_t>(code)); }

std::optional<errc> errc_from(std::string_view name) {
  auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<errc>(std::distance(names.begin(), found));
}

} // namespace banyan
