#include "apps/problem_file.hpp"

#include "apps/failure.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using nlohmann::json;

constexpr auto remedy = R"(write it as {"numbers": [3, 5, 7], "target": 22})";

std::int64_t whole_number(const json& j, const std::string& where, const char* name) {
  if (!j.is_number_integer())
    throw bad_usage(where, std::string(name) + " is not a whole number", remedy);
  if (j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX)
    throw bad_usage(where, std::string(name) + " is too large", remedy);
  return j.get<std::int64_t>();
}

problem problem_from(const json& j, const std::string& where) {
  if (!j.is_object()) throw bad_usage(where, "it is not a JSON object", remedy);
  const auto numbers = j.contains("numbers") ? j.find("numbers") : j.find("nums");
  if (numbers == j.end() || !numbers->is_array())
    throw bad_usage(where, "the list `numbers` is missing", remedy);
  if (!j.contains("target")) throw bad_usage(where, "`target` is missing", remedy);
  problem p;
  for (const auto& number : *numbers)
    p.numbers.push_back(whole_number(number, where, "an entry of `numbers`"));
  p.target = whole_number(j["target"], where, "`target`");
  if (auto why = malformed(p)) throw bad_usage(where, *why, remedy);
  return p;
}

/// The parser's own words without its prefix "[json.exception.…] ".
std::string reason(const json::parse_error& e) {
  const std::string_view what = e.what();
  const auto end = what.find("] ");
  return "not JSON: " + std::string(end == what.npos ? what : what.substr(end + 2));
}

std::vector<listed_problem> from_array(std::string_view text, const std::string& name) {
  json all;
  try {
    all = json::parse(text);
  } catch (const json::parse_error& e) {
    throw bad_usage(name, reason(e), "write a JSON array of problems, or one problem a line");
  }
  std::vector<listed_problem> problems;
  for (const auto& j : all) {
    auto where = name + ": element " + std::to_string(problems.size() + 1);
    auto p = problem_from(j, where);
    problems.push_back({std::move(p), std::move(where)});
  }
  return problems;
}

std::vector<listed_problem> from_lines(std::string_view text, const std::string& name) {
  std::vector<listed_problem> problems;
  std::istringstream lines{std::string(text)};
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    auto where = name + ": line " + std::to_string(number);
    try {
      auto p = problem_from(json::parse(line), where);
      problems.push_back({std::move(p), std::move(where)});
    } catch (const json::parse_error& e) {
      throw bad_usage(where, reason(e), remedy);
    }
  }
  return problems;
}

} // namespace

std::vector<listed_problem> parse_problems(std::string_view text, const std::string& name) {
  const auto first = text.find_first_not_of(" \t\r\n");
  auto problems =
      first != text.npos && text[first] == '[' ? from_array(text, name) : from_lines(text, name);
  if (problems.empty()) throw bad_usage(name, "there is no problem in it", remedy);
  return problems;
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || std::filesystem::is_directory(file) || !(text << in.rdbuf()))
    throw bad_environment(file.string(),
                          in && std::filesystem::is_directory(file) ? std::strerror(EISDIR)
                          : errno != 0                              ? std::strerror(errno)
                                                                    : "it cannot be read",
                          "give a file that can be read");
  return std::move(text).str();
}

std::vector<listed_problem> read_problems(const std::filesystem::path& file) {
  return parse_problems(read_text(file), file.string());
}

problem_set problems_of(const std::vector<std::string>& files) {
  problem_set all;
  for (const auto& file : files)
    for (auto& p : read_problems(file)) all.insert(canonical(std::move(p.value)));
  return all;
}

} // namespace banyan
