#include "apps/task_range.hpp"

#include "apps/failure.hpp"
#include "apps/json_list.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace banyan {

std::optional<std::string> task_range::misses(const problem& p) const {
  const auto count = static_cast<int>(p.numbers.size());
  if (std::find(numbers.begin(), numbers.end(), count) == numbers.end()) {
    std::string known;
    for (const int n : numbers) known += (known.empty() ? "" : " or ") + std::to_string(n);
    return "it has " + std::to_string(count) + " numbers, and the model knows problems with "
           + known;
  }
  const auto between = [](std::int64_t low, std::int64_t high) {
    return std::to_string(low) + ".." + std::to_string(high);
  };
  for (const auto n : p.numbers)
    if (n < min_number || n > max_number)
      return "the number " + std::to_string(n) + " is outside of " + between(min_number, max_number)
             + ", where the model was trained";
  if (p.target < min_target || p.target > max_target)
    return "the target " + std::to_string(p.target) + " is outside of "
           + between(min_target, max_target) + ", where the model was trained";
  return {};
}

std::string to_json(const task_range& r) {
  return nlohmann::ordered_json{{"task", "countdown"},        {"numbers", r.numbers},
                                {"min_number", r.min_number}, {"max_number", r.max_number},
                                {"min_target", r.min_target}, {"max_target", r.max_target}}
             .dump()
         + "\n";
}

std::optional<task_range> read_task_range(const std::filesystem::path& folder) {
  const auto file = folder / "banyan.json";
  if (!std::filesystem::exists(file)) return {};
  try {
    const auto j = nlohmann::json::parse(read_text(file));
    task_range r;
    j.at("numbers").get_to(r.numbers);
    j.at("min_number").get_to(r.min_number);
    j.at("max_number").get_to(r.max_number);
    j.at("min_target").get_to(r.min_target);
    j.at("max_target").get_to(r.max_target);
    return r;
  } catch (const nlohmann::json::exception&) {
    throw bad_environment(
        file.string(), "it does not say which problems the model was trained for",
        "remove the file: then the options alone say it; or copy it from the model that this "
        "one was trained from");
  }
}

} // namespace banyan
