#include "apps/run_changes.hpp"

#include "apps/failure.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

namespace banyan {

namespace {

/// The lines `name = value` that option_list::config writes; of a list, all values in a row.
std::map<std::string, std::string, std::less<>> values_in(std::string_view config) {
  std::map<std::string, std::string, std::less<>> values;
  constexpr std::string_view is = " = ";
  while (!config.empty()) {
    const auto line = config.substr(0, config.find('\n'));
    config.remove_prefix(std::min(line.size() + 1, config.size()));
    const auto at = line.find(is);
    if (line.starts_with('#') || at == line.npos) continue;
    auto& value = values[std::string(line.substr(0, at))];
    value += (value.empty() ? "" : " ") + std::string(line.substr(at + is.size()));
  }
  return values;
}

/// Two names of one folder.
bool is_same_place(const std::string& a, const std::string& b) {
  std::error_code unknown;
  return std::filesystem::equivalent(a, b, unknown) && !unknown;
}

std::string shown(const std::string& value) { return value.empty() ? "nothing" : value; }

} // namespace

std::vector<config_change> changes(const resumed_config& resumed, std::string_view config,
                                   std::span<const std::string_view> fixed) {
  std::vector<config_change> all;
  if (resumed.kept.empty()) return all;
  auto before = values_in(resumed.kept), now = values_in(config);
  for (const auto& name : resumed.asked) {
    const auto &was = before[name], &is = now[name];
    if (is == was || name == "out") continue; // the folder may have been moved
    if (name == "model" && is_same_place(is, was)) continue;
    if (std::ranges::find(fixed, name) != fixed.end())
      throw bad_usage("--" + name,
                      "the run was begun with " + shown(was) + " and cannot go on with "
                          + shown(is),
                      "leave it out, or begin a run in another --out");
    all.push_back({name, shown(was), shown(is)});
  }
  return all;
}

void add_names(resumed_config& resumed) {
  for (const auto& [name, value] : values_in(resumed.kept)) resumed.asked.insert(name);
}

std::string changes_text(const std::vector<config_change>& changes) {
  std::string text = "resumed with ";
  for (const auto& c : changes)
    text +=
        (&c == &changes.front() ? "--" : ", --") + c.name + " " + c.now + " (was " + c.before + ")";
  return text;
}

} // namespace banyan
