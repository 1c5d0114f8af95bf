#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace banyan {

/// Watches a growing text for strings that end it. `tail` is the end of the text so far and starts
/// empty; `piece` is the text of the next token. Returns which string the piece completes: the one
/// that ends first, of several the first in the list. Strings must not be empty.
std::optional<std::size_t> find_stop(std::string& tail, std::string_view piece,
                                     std::span<const std::string> strings);

} // namespace banyan
