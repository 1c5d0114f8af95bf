#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace banyan::grammar {

/// Reads a text from left to right. What does not fit is not consumed; nothing throws.
class cursor {
public:
  explicit cursor(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  /// Consumes exactly `expected`.
  bool literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  /// Consumes what precedes `stop` and `stop` itself; returns the former.
  std::optional<std::string_view> until(std::string_view stop) {
    const auto at = rest_.find(stop);
    if (at == std::string_view::npos) return {};
    const auto before = rest_.substr(0, at);
    rest_.remove_prefix(at + stop.size());
    return before;
  }

  /// Consumes the longest stretch of characters out of `set`; empty if there is none.
  std::string_view any_of(std::string_view set) {
    const auto stretch = rest_.substr(0, rest_.find_first_not_of(set));
    rest_.remove_prefix(stretch.size());
    return stretch;
  }

  /// Consumes a decimal number as it is printed: no plus sign, no leading zero, in range.
  template <std::integral Number>
  std::optional<Number> integer() {
    Number value{};
    const auto [end, ec] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (ec != std::errc{}) return {};
    const auto digits = rest_.substr(0, static_cast<std::size_t>(end - rest_.data()));
    const bool padded = digits.size() > 1 && digits.front() == '0';
    if (padded || digits.starts_with("-0")) return {};
    rest_.remove_prefix(digits.size());
    return value;
  }

private:
  std::string_view rest_;
};

} // namespace banyan::grammar
