#include "apps/join_text.hpp"

#include <charconv>
#include <string_view>

namespace banyan {

namespace {

template <class Number>
bool read_whole_text(std::string_view text, Number& value) {
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

std::string shortest(double value) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

} // namespace

bool read_join(const std::string& text, join_policy& join) {
  using kind = join_policy::kind;
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  const auto rest =
      colon == text.npos ? std::string_view{} : std::string_view(text).substr(colon + 1);
  join_policy read;
  if (name == "k_of_n") {
    read.when = kind::k_of_n;
    if (!read_whole_text(rest, read.k) || read.k == 0) return false;
  } else if (name == "deadline") {
    read.when = kind::deadline;
    if (!read_whole_text(rest, read.seconds)) return false;
    if (!(read.seconds > 0 && read.seconds < 1e9)) return false;
  } else if (colon == text.npos && (name == "all" || name == "first_success")) {
    read.when = name == "all" ? kind::all : kind::first_success;
  } else {
    return false;
  }
  join = read;
  return true;
}

std::string join_text(const join_policy& join) {
  switch (join.when) {
  case join_policy::kind::all: return "all";
  case join_policy::kind::first_success: return "first_success";
  case join_policy::kind::k_of_n: return "k_of_n:" + std::to_string(join.k);
  case join_policy::kind::deadline: return "deadline:" + shortest(join.seconds);
  }
  return {};
}

} // namespace banyan
