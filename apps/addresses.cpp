#include "apps/client.hpp"
#include "apps/did_you_mean.hpp"

#include <algorithm>
#include <cctype>

namespace banyan {

std::string url_escaped(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      escaped += c;
    } else {
      escaped += '%';
      escaped += digits[byte >> 4];
      escaped += digits[byte & 15];
    }
  }
  return escaped;
}

std::string tree_path(std::string_view id, std::string_view rest) {
  const bool word = std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c) != 0; });
  if (id.empty() || !word)
    throw bad_usage(in_quotes(std::string(id)), "it is no tree's id", "`banyan ps` lists them");
  return "/v1/trees/" + url_escaped(id) + std::string(rest);
}

std::string query(std::span<const std::pair<std::string, std::string>> fields) {
  std::string text;
  for (const auto& [name, value] : fields)
    if (!value.empty()) text += (text.empty() ? "?" : "&") + name + "=" + url_escaped(value);
  return text;
}

std::string query(std::initializer_list<std::pair<std::string, std::string>> fields) {
  return query(std::span(fields.begin(), fields.size()));
}

} // namespace banyan
