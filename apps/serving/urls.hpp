#pragma once

#include "apps/time_text.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace banyan {

/// "%2F" becomes "/"; nothing where a % is followed by anything but two hex digits.
std::optional<std::string> percent_decoded(std::string_view);

/// "/v1/trees/a%20b" becomes "v1", "trees", "a b". Nothing for what cannot be decoded.
std::optional<std::vector<std::string>> path_segments(std::string_view path);

/// The parameters of a URL. One without a value is one that is not there. A parameter that nobody
/// asks for, comes twice or cannot be read is thrown as a `request_error` that names it.
class url_query {
public:
  explicit url_query(std::string_view encoded);

  std::optional<std::string> text(std::string_view name);
  std::vector<std::string> texts(std::string_view name); ///< may come more than once
  std::optional<bool> flag(std::string_view name);       ///< "true" or "false"
  std::size_t number(std::string_view name, std::size_t low, std::size_t high,
                     std::size_t otherwise);
  std::optional<std::int64_t> time_ms(std::string_view name); ///< of RFC 3339 or Unix seconds

  void end() const; ///< nothing more is asked for

private:
  std::vector<std::pair<std::string, std::string>> given_;
  std::vector<std::string> asked_;
};

} // namespace banyan
