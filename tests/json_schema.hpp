#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>
#include <regex.h>

namespace banyan {

using json = nlohmann::ordered_json;

// What of JSON Schema the description of our API uses.

/// Follows a "$ref".
inline const json& resolved(const json& document, const json& j) {
  if (!j.contains("$ref")) return j;
  return document.at(json::json_pointer(j.at("$ref").get<std::string>().substr(1)));
}

inline bool has_type(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") // 3.0 is one
    return value.is_number_integer()
           || (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
  if (type == "number") return value.is_number();
  if (type == "null") return value.is_null();
  throw std::runtime_error("the description has an unknown type: " + type);
}

/// Where a value is not what its schema says; empty: nowhere.
inline std::string misfit(const json& document, const json& unresolved, const json& value,
                          const std::string& where = "$");

/// Our patterns are POSIX's, too.
inline bool matches(const std::string& pattern, const std::string& text) {
  regex_t compiled{};
  if (::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
    throw std::runtime_error("the description has a pattern that is none: " + pattern);
  const bool found = ::regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  ::regfree(&compiled);
  return found;
}

/// Lengths, sizes, numbers and patterns; what a value is not of is no bound for it.
inline std::string misfit_of_bounds(const json& schema, const json& value,
                                    const std::string& where) {
  const auto exact = [](const json& number) { // the library compares -1 and 2^64 - 1 as equals
    return number.is_number_unsigned()  ? static_cast<long double>(number.get<std::uint64_t>())
           : number.is_number_integer() ? static_cast<long double>(number.get<std::int64_t>())
                                        : static_cast<long double>(number.get<double>());
  };
  const auto beyond = [&](const char* least, const char* most, const json& size) {
    return (schema.contains(least) && exact(size) < exact(schema.at(least)))
           || (schema.contains(most) && exact(size) > exact(schema.at(most)));
  };
  if ((value.is_number() && beyond("minimum", "maximum", value))
      || (value.is_array() && beyond("minItems", "maxItems", value.size()))
      || (value.is_object() && beyond("minProperties", "maxProperties", value.size()))
      || (value.is_string() && beyond("minLength", "maxLength", value.get<std::string>().size())))
    return where + " is out of bounds: " + value.dump();
  if (value.is_string() && schema.contains("pattern")
      && !matches(schema.at("pattern").get<std::string>(), value.get<std::string>()))
    return where + " is not of the pattern: " + value.dump();
  return {};
}

inline std::string misfit_of_object(const json& document, const json& schema, const json& value,
                                    const std::string& where) {
  for (const auto& name : schema.value("required", json::array()))
    if (!value.contains(name.get<std::string>()))
      return where + " lacks " + name.get<std::string>();
  const auto properties = schema.value("properties", json::object());
  const auto others = schema.value("additionalProperties", json(true));
  for (const auto& [name, field] : value.items()) {
    const auto place = where + '.' + name;
    if (auto bad = misfit(document, schema.value("propertyNames", json::object()), name, place);
        !bad.empty())
      return bad;
    if (!properties.contains(name) && others == false) return place + " is not described";
    if (!properties.contains(name) && !others.is_object()) continue;
    const auto& described = properties.contains(name) ? properties.at(name) : others;
    if (auto bad = misfit(document, described, field, place); !bad.empty()) return bad;
  }
  return {};
}

inline std::string misfit(const json& document, const json& unresolved, const json& value,
                          const std::string& where) {
  const auto& schema = resolved(document, unresolved);
  for (const auto& part : schema.value("allOf", json::array()))
    if (auto bad = misfit(document, part, value, where); !bad.empty()) return bad;
  if (schema.contains("oneOf") && std::ranges::count_if(schema.at("oneOf"), [&](const auto& one) {
                                    return misfit(document, one, value, where).empty();
                                  }) != 1)
    return where + " is not one of what it may be: " + value.dump();
  if (schema.contains("type")) {
    const auto& type = schema.at("type");
    const auto types = type.is_array() ? type : json::array({type});
    if (std::ranges::none_of(types, [&](const auto& one) { return has_type(value, one); }))
      return where + " has another type: " + value.dump();
  }
  if (schema.contains("const") && schema.at("const") != value)
    return where + " is not " + schema.at("const").dump();
  if (schema.contains("enum")
      && std::ranges::find(schema.at("enum"), value) == schema.at("enum").end())
    return where + " is not in the list: " + value.dump();
  if (auto bad = misfit_of_bounds(schema, value, where); !bad.empty()) return bad;
  if (value.is_object()) return misfit_of_object(document, schema, value, where);
  if (value.is_array() && schema.contains("items"))
    for (const auto& item : value)
      if (auto bad = misfit(document, schema.at("items"), item, where + "[]"); !bad.empty())
        return bad;
  return {};
}

} // namespace banyan
