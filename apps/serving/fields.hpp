#pragma once

#include "solver/request.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace banyan {

/// A request's body as a JSON object; an empty body is an empty object where `may_be_empty`. Throws
/// `request_error`. The keys are in a map: a body of many keys must not take quadratic time.
nlohmann::json parse_body(std::string_view body, bool may_be_empty = false);

/// A seed for a request that leaves it open; every JSON reader can repeat it (below 2^53).
std::uint64_t drawn_seed();

/// Is it a whole number? As JSON Schema counts: 3.0 is one too, as far as a double has each of
/// them.
bool is_whole(const nlohmann::json& number);

/// Reads the fields of a JSON object into what already has their defaults. A field that is missing
/// or null leaves the default; one of the wrong type or outside of its bounds is thrown as a
/// `request_error` that names it by its whole path ("budget.max_tokens").
class fields {
public:
  explicit fields(const nlohmann::json& object, std::string path = {});

  bool has(const char* name); ///< there, and not null
  const nlohmann::json* find(const char* name);
  std::string path_of(const std::string& name) const;

  void text(const char* name, std::string&);
  void flag(const char* name, bool&);
  void real(const char* name, double&, double low, double high);
  template <class Integer>
  void whole(const char* name, Integer& value, std::uint64_t low = 0,
             std::uint64_t high = std::numeric_limits<Integer>::max()) {
    value = static_cast<Integer>(whole_in(name, static_cast<std::uint64_t>(value), low, high));
  }
  void labels(const char* name, std::map<std::string, std::string>&);

  /// temperature, top_k, top_p, min_p and seed.
  void sampling(sampling_options&);

  /// Every field that nobody asked for is refused.
  void end() const;

private:
  std::uint64_t whole_in(const char* name, std::uint64_t otherwise, std::uint64_t low,
                         std::uint64_t high);
  [[noreturn]] void wrong(const char* name, const std::string& is, const std::string& remedy) const;

  const nlohmann::json& object_;
  std::string path_;
  std::vector<std::string> asked_;
};

} // namespace banyan
