#pragma once

#include <cstddef>
#include <string_view>

namespace banyan {

/// The columns that UTF-8 takes on a terminal, as wcwidth has it: a letter of East Asia or an emoji
/// two, a combining mark none. What is no UTF-8 takes one a byte.
std::size_t width_of(std::string_view);

/// The text's begin, so many columns at most.
std::string_view first_columns(std::string_view, std::size_t columns);

/// The text's end, so many columns at most.
std::string_view last_columns(std::string_view, std::size_t columns);

} // namespace banyan
