#include "apps/json_list.hpp"

#include "apps/failure.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

/// What we read is nested far less, whatever else stands beside it; copies of a value recurse.
constexpr int deepest = 100;

json parsed(std::string_view text, const std::string& where, const std::string& remedy) {
  const auto bounded = [&](int depth, json::parse_event_t, json&) {
    if (depth > deepest)
      throw bad_usage(where, "it is nested more than " + std::to_string(deepest) + " deep", remedy);
    return true;
  };
  try {
    return json::parse(text, bounded);
  } catch (const json::parse_error& e) {
    throw bad_usage(where, "not JSON: " + reason(e), remedy);
  }
}

} // namespace

std::string reason(const std::exception& e) {
  const std::string_view what = e.what();
  const auto end = what.find("] ");
  const auto said = end == what.npos ? what : what.substr(end + 2);
  constexpr std::size_t longest = 160; // it quotes the text, which may be long
  return std::string(said.substr(0, longest)) + (said.size() > longest ? "…" : "");
}

void for_each_json(std::string_view text, const std::string& name, const std::string& remedy,
                   const std::function<void(const json&, const std::string&)>& take) {
  const auto first = text.find_first_not_of(" \t\r\n");
  std::size_t number = 0;
  if (first != text.npos && text[first] == '[') {
    for (const auto& j : parsed(text, name, remedy))
      take(j, name + ": element " + std::to_string(++number));
    return;
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const auto where = name + ": line " + std::to_string(number);
    take(parsed(line, where, remedy), where);
  }
}

std::string read_text(const std::filesystem::path& file) {
  std::error_code unknown;
  if (std::filesystem::is_directory(file, unknown))
    throw bad_environment(file.string(), "it is a folder", "give a file");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in && in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
  if (!in.is_open() || in.bad() || !text)
    throw bad_environment(file.string(), errno != 0 ? std::strerror(errno) : "it cannot be read",
                          "give a file that can be read");
  auto whole = std::move(text).str();
  // Some editors put a byte order mark in front of UTF-8.
  if (whole.starts_with("\xef\xbb\xbf")) whole.erase(0, 3);
  return whole;
}

} // namespace banyan
