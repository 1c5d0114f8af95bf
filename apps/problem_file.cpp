#include "apps/problem_file.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"

#include <nlohmann/json.hpp>

namespace banyan {

namespace {

using json = nlohmann::ordered_json;

constexpr auto remedy = R"(write it as {"numbers": [3, 5, 7], "target": 22})";

std::int64_t whole_number(const json& j, const std::string& where, const char* name) {
  if (!j.is_number_integer())
    throw bad_usage(where, std::string(name) + " is not a whole number", remedy);
  if (j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX)
    throw bad_usage(where, std::string(name) + " is too large", remedy);
  return j.get<std::int64_t>();
}

std::string other_fields(json j) {
  for (const auto* ours : {"numbers", "nums", "target"}) j.erase(ours);
  return j.empty() ? std::string() : j.dump();
}

} // namespace

problem problem_from(const json& j, const std::string& where) {
  if (!j.is_object()) throw bad_usage(where, "it is not a JSON object", remedy);
  const auto numbers = j.contains("numbers") ? j.find("numbers") : j.find("nums");
  if (numbers == j.end() || !numbers->is_array())
    throw bad_usage(where, "the list `numbers` is missing", remedy);
  if (j.contains("nums") && j["nums"] != *numbers)
    throw bad_usage(where, "`numbers` and `nums` are not the same", remedy);
  if (!j.contains("target")) throw bad_usage(where, "`target` is missing", remedy);
  problem p;
  for (const auto& number : *numbers)
    p.numbers.push_back(whole_number(number, where, "an entry of `numbers`"));
  p.target = whole_number(j["target"], where, "`target`");
  if (auto why = malformed(p)) throw bad_usage(where, *why, remedy);
  return p;
}

std::vector<listed_problem> parse_problems(std::string_view text, const std::string& name) {
  std::vector<listed_problem> problems;
  for_each_json(text, name, remedy, [&problems](const json& j, const std::string& where) {
    problems.push_back({problem_from(j, where), where, other_fields(j)});
  });
  if (problems.empty()) throw bad_usage(name, "there is no problem in it", remedy);
  return problems;
}

std::vector<listed_problem> read_problems(const std::filesystem::path& file) {
  if (file == "-") return parse_problems(read_text("/dev/stdin"), "standard input");
  return parse_problems(read_text(file), file.string());
}

std::string with_fields(std::string result, const listed_problem& p) {
  if (p.other_fields.empty()) return result;
  result.pop_back(); // the brace
  return result + ",\"fields\":" + p.other_fields + "}";
}

problem_set problems_of(const std::vector<std::string>& files) {
  problem_set all;
  for (const auto& file : files)
    for (auto& p : read_problems(file)) all.insert(canonical(std::move(p.value)));
  return all;
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code unknown;
  if (a.empty() || b.empty() || b == "-") return false;
  if (exists(a, unknown) && !is_regular_file(a, unknown)) return false;
  const auto whole = weakly_canonical(a, unknown); // empty where that cannot be looked at
  return (!whole.empty() && whole == weakly_canonical(b, unknown)) || equivalent(a, b, unknown);
}

} // namespace banyan
