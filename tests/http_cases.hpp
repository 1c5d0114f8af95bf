#pragma once

#include "apps/json.hpp"
#include "tests/http_fixture.hpp"

#include <string>
#include <vector>

namespace banyan {

inline const json solvable{{"problem", {{"numbers", {5, 50, 79, 27}}, {"target", 62}}}};

inline json with(json body, const std::string& field, const json& value) {
  body[field] = value;
  return body;
}

inline std::vector<std::string> keys_of(const json& j) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : j.items()) keys.push_back(key);
  return keys;
}

inline tree finished_tree(const std::string& id, std::int64_t created_ms) {
  auto t = fake_forest::running_tree(id, created_ms);
  fake_forest::finish(t);
  return t;
}

/// As long as a tree's id is.
inline std::string long_id(char c) { return std::string(26, c); }

/// Three trees, the newest last.
inline void put_three(fake_forest& trees) {
  auto first = finished_tree(long_id('A'), 1000);
  first.labels = {{"run", "a"}, {"who", "me"}};
  trees.put(first);
  auto second = fake_forest::running_tree(long_id('B'), 2000);
  second.labels = {{"run", "a"}};
  trees.put(second);
  trees.put(fake_forest::running_tree(long_id('C'), 3000));
}

inline std::vector<std::string> ids_of(const json& list) {
  std::vector<std::string> ids;
  for (const auto& t : list.at("trees")) ids.push_back(t.at("id").get<std::string>().substr(0, 1));
  return ids;
}

using strings = std::vector<std::string>;

} // namespace banyan
