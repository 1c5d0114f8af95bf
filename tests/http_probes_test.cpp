#include "tests/described_server.hpp"
#include "tests/http_cases.hpp"
#include "tests/json_schema.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

/// Values of every kind, and those on both sides of every bound that is described.
const std::vector<json>& probes() {
  static const auto all = json::parse(R"([
    true, false, "", "x", "/", "/0", "/0/12", "//", "/0/", "0", "/a", "all", "countdown", "a=b", "first_success", "k_of_n:2", "k_of_n:0", "deadline:0.5", "deadline:", "2026-11-27T10:00:00Z",
    -2, -1, 0, 1e-7, 1e-6, 0.5, 1, 1.5, 2, 3.0, 5, 6, 16, 17, 100, 100.5, 101, 128, 129, 1000, 1001,
    1000000, 1000001, 1000000000, 1000000001, 2147483647, 2147483648, 4294967295, 4294967296,
    9007199254740991, 9007199254740992, 18446744073709551615, 36893488147419103232, -3000000000, 1e300,
    [], [""], ["a"], [1], [1.0], [2147483647], [2147483648], [[2147483648]], [-1], [[1]], [[]], ["a", 1], [1.5], {}, {"a": "b"}, {"": "b"}, {"numbers": [3.0, 5], "target": 15.0}, {"numbers": [3.5, 5], "target": 15},
    {"numbers": [3, 5]}, {"target": 15},
    {"nums": [0, 9999], "target": 0}, {"numbers": [3, 5], "nums": [3, 5], "target": 15}, {"numbers": [3], "target": 3},
    {"numbers": [1, 2, 3, 4, 5, 6, 7], "target": 9}, {"numbers": [1, 10000], "target": 9}, {"numbers": [1, -1], "target": 9},
    {"numbers": [1, 2], "target": 10000}, {"numbers": [1, 2, 3, 4, 5, 6], "target": 9999, "rating": 1}, {"a=b": "c"}, {"a": 1}
  ])")
                              .get<std::vector<json>>();
  return all;
}

/// A server that has what the described requests are about, and what of a value both say.
struct described_server {
  served s;
  const json& document = description();

  described_server() { prepare(s.trees, "200"); }

  const json& schema(const std::string& name) const {
    return document.at("components").at("schemas").at(name);
  }
  std::vector<std::string> fields_of(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& [field, _] : schema(name).at("properties").items()) names.push_back(field);
    return names;
  }
  void agree(const json& described, const json& value, const http_answer& answer) const {
    const auto bad = misfit(document, described, value);
    INFO(value.dump() << ": " << (bad.empty() ? "fits" : bad) << "; the server: " << answer.body);
    CHECK(bad.empty() == (answer.status < 300));
  }
  /// `part`: the field whose field it is, or nothing.
  void agree_on_bodies(const std::string& path, const std::string& described, const json& beginning,
                       const std::string& part, const std::vector<std::string>& fields) const {
    for (const auto& field : fields)
      for (const auto& value : probes()) {
        auto body = beginning;
        (part.empty() ? body : body[part])[field] = value;
        agree(schema(described), body, s.post(path, body.dump()));
      }
  }
};

TEST_CASE("what a tree's request may be by the description is what the server takes", "[http]") {
  const described_server s;
  auto fields = s.fields_of("TreeRequest");
  std::erase(fields, "prompt"); // a text that is its field's is no task's
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable, "", fields);
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable, "sampling", s.fields_of("Sampling"));
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable, "budget", s.fields_of("Budget"));
}

TEST_CASE("what a completion's request may be by the description is what the server takes",
          "[http]") {
  const described_server s;
  auto fields = s.fields_of("CompletionRequest");
  for (const auto name : {"model", "stream", "stream_options"}) // see their own tests
    std::erase(fields, name);
  s.agree_on_bodies("/v1/completions", "CompletionRequest", {{"prompt", "a"}, {"max_tokens", 1}},
                    "", fields);
}

TEST_CASE("what a parameter may be by the description is what the server takes", "[http]") {
  const described_server s;
  for (const auto& [path, methods] : s.document.at("paths").items())
    for (const auto& parameter : methods.value("get", json::object()).value("parameters", json())) {
      const auto& schema = parameter.at("schema");
      const auto& type = schema.at("type");
      if (parameter.at("in") != "query" || type == "array") continue;
      if (type == "string" && !schema.contains("pattern")) continue;
      for (const auto& probe : probes()) {
        if (probe.is_structured() || probe == "") continue; // without a value: not there
        const auto text = probe.is_string() ? probe.get<std::string>() : probe.dump();
        if (type == "integer" && text.find('.') != text.npos) continue; // 3.0 is written 3
        const auto target =
            concrete(path, "A") + '?' + parameter.at("name").get<std::string>() + '=' + text;
        INFO(target);
        const auto answer = s.s.get(target);
        if (answer.body.find("has no thread") != answer.body.npos || answer.status == 404)
          continue; // a path, of no thread
        const auto number = json::parse(text, nullptr, false);
        s.agree(schema, type == "string" || number.is_discarded() ? json(text) : number, answer);
      }
    }
}

} // namespace
} // namespace banyan
