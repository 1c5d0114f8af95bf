#pragma once

#include <span>
#include <string>
#include <string_view>

namespace banyan {

/// The remedy for a name that is not among `names`: the one that was probably meant, with `dashes`
/// in front, or where none is near `otherwise`.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> names,
                         const std::string& dashes, const std::string& otherwise);

inline std::string in_quotes(const std::string& text) { return "'" + text + "'"; }

} // namespace banyan
