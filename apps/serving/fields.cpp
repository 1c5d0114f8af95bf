#include "apps/serving/fields.hpp"

#include "apps/drawn.hpp"
#include "apps/serving/http.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace banyan {

using nlohmann::json;

namespace {

constexpr std::size_t most_labels = 64, longest_label = 256;

[[noreturn]] void refuse_body(const std::string& wrong) {
  throw request_error{{refusal::kind::bad_request,
                       "the body: " + wrong + "; send one JSON object, see /openapi.json"}};
}

/// Refuses a name that an object has twice: the JSON library would take the last one in silence.
class unique_names {
public:
  bool operator()(int, json::parse_event_t event, json& value) {
    switch (event) {
    case json::parse_event_t::object_start: open_.emplace_back(); break;
    case json::parse_event_t::object_end: open_.pop_back(); break;
    case json::parse_event_t::key:
      if (const auto& name = value.get_ref<const std::string&>(); !open_.back().insert(name).second)
        refuse_body("it has " + shortened(name) + " twice");
      break;
    default: break;
    }
    return true;
  }

private:
  std::vector<std::set<std::string, std::less<>>> open_; // of each object that is open
};

} // namespace

json parse_body(std::string_view body, bool may_be_empty) {
  if (body.empty() && may_be_empty) return json::object();
  try {
    auto parsed = json::parse(body, unique_names());
    if (!parsed.is_object()) refuse_body("it is not a JSON object");
    return parsed;
  } catch (const json::parse_error& e) {
    refuse_body("it is not JSON at byte " + std::to_string(e.byte));
  } catch (const json::exception&) {
    refuse_body("it has a number that is too large");
  }
}

std::uint64_t drawn_seed() { return drawn_bits() >> 11; }

fields::fields(const json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) refuse_field(path_, "it is not an object", "see /openapi.json");
}

std::string fields::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

void fields::wrong(const char* name, const std::string& is, const std::string& remedy) const {
  refuse_field(path_of(name), is, remedy);
}

const json* fields::find(const char* name) {
  asked_.emplace_back(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool fields::has(const char* name) { return find(name) != nullptr; }

void fields::text(const char* name, std::string& value) {
  const auto* found = find(name);
  if (!found) return;
  if (!found->is_string()) wrong(name, "it is not a string", "give one");
  value = found->get<std::string>();
}

void fields::flag(const char* name, bool& value) {
  const auto* found = find(name);
  if (!found) return;
  if (!found->is_boolean()) wrong(name, "it is neither true nor false", "give one of the two");
  value = found->get<bool>();
}

void fields::real(const char* name, double& value, double low, double high) {
  const auto* found = find(name);
  if (!found) return;
  if (!found->is_number()) wrong(name, "it is not a number", "give one");
  const auto given = found->get<double>();
  if (!(given >= low && given <= high))
    wrong(name, "it is out of range",
          "give a number from " + json(low).dump() + " to " + json(high).dump());
  value = given;
}

bool is_whole(const json& number) {
  if (number.is_number_integer()) return true;
  if (!number.is_number_float()) return false;
  const auto value = number.get<double>();
  return value == std::floor(value) && std::abs(value) <= 9007199254740992.0;
}

std::uint64_t fields::whole_in(const char* name, std::uint64_t otherwise, std::uint64_t low,
                               std::uint64_t high) {
  const auto* found = find(name);
  if (!found) return otherwise;
  if (!is_whole(*found)) wrong(name, "it is not a whole number", "give one");
  const bool negative = !found->is_number_unsigned() && found->get<double>() < 0;
  const auto given = negative ? 0 : found->get<std::uint64_t>();
  if (negative || given < low || given > high)
    wrong(name, "it is out of range",
          "give a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return given;
}

void fields::labels(const char* name, std::map<std::string, std::string>& value) {
  const auto* found = find(name);
  if (!found) return;
  if (!found->is_object()) wrong(name, "it is not an object", "give names and strings");
  if (found->size() > most_labels) wrong(name, "there are too many", "give at most 64");
  for (const auto& [key, label] : found->items()) {
    const auto place = std::string(name) + "." + key;
    if (key.empty() || key.find('=') != key.npos)
      wrong(place.c_str(), "a name must not be empty nor contain =", "choose another name");
    if (key.starts_with(reserved_labels))
      wrong(place.c_str(), "names that begin with banyan. are Banyan's own", "choose another name");
    if (!label.is_string()) wrong(place.c_str(), "it is not a string", "give one");
    value[key] = label.get<std::string>();
    if (key.size() + value[key].size() > longest_label)
      wrong(place.c_str(), "it is too long", "give at most 256 bytes");
  }
}

void fields::sampling(sampling_options& options) {
  const auto share = [this](const char* name, float& value, double low, double high) {
    double given = value;
    real(name, given, low, high);
    value = static_cast<float>(given);
  };
  share("temperature", options.temperature, 0, 100);
  whole("top_k", options.top_k);
  share("top_p", options.top_p, 1e-6, 1);
  share("min_p", options.min_p, 0, 1);
  whole("seed", options.seed);
}

void fields::end() const {
  for (const auto& [name, value] : object_.items())
    if (std::ranges::find(asked_, name) == asked_.end())
      refuse_field(path_of(name), "there is no such field", "see /openapi.json");
}

} // namespace banyan
