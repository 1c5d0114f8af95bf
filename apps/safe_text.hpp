#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace banyan {

/// What a text begins with.
struct leading_character {
  std::size_t bytes = 1;
  /// Its number, if a terminal must not see it: a control character (C0, DEL, C1), one that makes
  /// what follows run the other way (U+202A to U+202E, U+2066 to U+2069), or a byte that is no
  /// UTF-8, which is a C1 to some terminals.
  std::optional<std::uint32_t> unsafe;
};

/// Of a text that is not empty.
leading_character first_of(std::string_view text);

} // namespace banyan
