#include "apps/banyand/urls.hpp"

#include "apps/banyand/http.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

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

/// Takes `width` digits off the front.
bool take_digits(std::string_view& text, std::size_t width, int& value) {
  if (text.size() < width) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + width, value);
  if (error != std::errc{} || end != text.data() + width || value < 0) return false;
  text.remove_prefix(width);
  return true;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

/// ".123" in milliseconds, further digits dropped; 0 where there is none.
std::optional<int> take_fraction(std::string_view& text) {
  if (!take(text, '.')) return 0;
  int ms = 0, digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1))
    if (digits++ < 3) ms = 10 * ms + (text.front() - '0');
  if (digits == 0) return {};
  for (; digits < 3; ++digits) ms *= 10;
  return ms;
}

/// "Z" or "+01:00", in minutes; it must be all that is left. In a URL a bare + is a space.
std::optional<int> take_zone(std::string_view& text) {
  if (text == "Z" || text == "z") return 0;
  const int sign = text.starts_with('-') ? -1 : 1;
  int hours = 0, minutes = 0;
  if (!take(text, '+') && !take(text, '-') && !take(text, ' ')) return {};
  if (!take_digits(text, 2, hours) || !take(text, ':') || !take_digits(text, 2, minutes)) return {};
  if (!text.empty() || hours > 23 || minutes > 59) return {};
  return sign * (60 * hours + minutes);
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  const bool read = take_digits(text, 4, y) && take(text, '-') && take_digits(text, 2, mo)
                    && take(text, '-') && take_digits(text, 2, d)
                    && (take(text, 'T') || take(text, 't') || take(text, ' '))
                    && take_digits(text, 2, h) && take(text, ':') && take_digits(text, 2, mi)
                    && take(text, ':') && take_digits(text, 2, s);
  if (!read || h > 23 || mi > 59 || s > 60) return {};
  const year_month_day date{year(y), month(unsigned(mo)), day(unsigned(d))};
  const auto fraction = take_fraction(text);
  if (!date.ok() || !fraction) return {};
  const auto zone = take_zone(text);
  if (!zone) return {};
  const auto at = sys_days(date) + hours(h) + minutes(mi - *zone) + seconds(s);
  return duration_cast<milliseconds>(at.time_since_epoch()).count() + *fraction;
}

std::optional<std::int64_t> parse_unix_seconds(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  if (!(seconds >= 0 && seconds < 1e12)) return {};
  return std::llround(seconds * 1000);
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
    if (key == name) found.push_back(value);
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

std::int64_t url_query::time_ms(std::string_view name) {
  const auto given = text(name);
  if (!given) return 0;
  const auto read = parse_time(*given);
  if (!read)
    refuse_field(std::string(name), "it is not a time",
                 "write it as 2026-11-22T09:30:00Z or in Unix seconds");
  return *read;
}

void url_query::end() const {
  for (const auto& [name, value] : given_)
    if (std::ranges::find(asked_, name) == asked_.end())
      refuse_field(name, "there is no such parameter", "see /openapi.json");
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  if (const auto read = parse_rfc3339(text)) return read;
  return parse_unix_seconds(text);
}

} // namespace banyan
