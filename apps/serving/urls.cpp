#include "apps/serving/urls.hpp"

#include "apps/serving/http.hpp"

#include <algorithm>
#include <charconv>

namespace banyan {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded_or_refused(std::string text) {
  std::ranges::replace(text, '+', ' ');
  auto decoded = percent_decoded(text);
  if (!decoded) refuse_field(text, "it is not percent-encoded", "write % as %25");
  return *decoded;
}

} // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return {};
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return {};
    decoded += static_cast<char>(16 * high + low);
    i += 2;
  }
  return decoded;
}

std::optional<std::vector<std::string>> path_segments(std::string_view path) {
  std::vector<std::string> segments;
  if (!path.starts_with('/')) return {};
  path.remove_prefix(1);
  if (path.empty()) return segments;
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    auto segment = percent_decoded(path.substr(begin, end - begin));
    if (!segment) return {};
    segments.push_back(std::move(*segment));
    begin = end + 1;
  }
  return segments;
}

url_query::url_query(std::string_view encoded) {
  while (!encoded.empty()) {
    const auto end = std::min(encoded.find('&'), encoded.size());
    const auto pair = encoded.substr(0, end);
    encoded.remove_prefix(std::min(end + 1, encoded.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    given_.emplace_back(
        decoded_or_refused(std::string(pair.substr(0, equals))),
        decoded_or_refused(std::string(pair.substr(std::min(equals + 1, pair.size())))));
  }
}

std::vector<std::string> url_query::texts(std::string_view name) {
  asked_.emplace_back(name);
  std::vector<std::string> found;
  for (const auto& [key, value] : given_)
    if (key == name && !value.empty()) found.push_back(value);
  return found;
}

std::optional<std::string> url_query::text(std::string_view name) {
  auto found = texts(name);
  if (found.empty()) return {};
  if (found.size() > 1) refuse_field(std::string(name), "it is given twice", "give it once");
  return std::move(found.front());
}

std::optional<bool> url_query::flag(std::string_view name) {
  const auto given = text(name);
  if (!given) return {};
  if (*given != "true" && *given != "false")
    refuse_field(std::string(name), "it is neither true nor false", "give one of the two");
  return *given == "true";
}

std::size_t url_query::number(std::string_view name, std::size_t low, std::size_t high,
                              std::size_t otherwise) {
  const auto given = text(name);
  if (!given) return otherwise;
  std::size_t value = 0;
  const auto* last = given->data() + given->size();
  const auto [end, error] = std::from_chars(given->data(), last, value);
  if (error != std::errc{} || end != last || value < low || value > high)
    refuse_field(std::string(name), "it is not a whole number in its range",
                 "give one from " + std::to_string(low) + " to " + std::to_string(high));
  return value;
}

std::optional<std::int64_t> url_query::time_ms(std::string_view name) {
  const auto given = text(name);
  if (!given) return {};
  const auto read = parse_time(*given);
  if (!read)
    refuse_field(std::string(name), "it is not a time",
                 "write it as 2026-11-22T09:30:00Z or in Unix seconds");
  return read;
}

void url_query::end() const {
  for (const auto& [name, value] : given_)
    if (std::ranges::find(asked_, name) == asked_.end())
      refuse_field(name, "there is no such parameter", "see /openapi.json");
}

} // namespace banyan
