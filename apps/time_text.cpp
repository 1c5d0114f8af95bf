#include "apps/time_text.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace banyan {

namespace {

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

std::string time_text(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char day[32], text[40];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(unix_ms % 1000));
  return text;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  if (const auto read = parse_rfc3339(text)) return read;
  return parse_unix_seconds(text);
}

} // namespace banyan
