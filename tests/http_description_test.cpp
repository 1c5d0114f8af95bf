#include "apps/serving/routes.hpp"
#include "tests/http_fixture.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <regex.h>

namespace banyan {
namespace {

const std::string solvable = R"({"problem": {"numbers": [3, 5], "target": 15}})";

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}
std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

// ---- the schemas of the description

/// Follows a "$ref".
const json& resolved(const json& document, const json& j) {
  if (!j.contains("$ref")) return j;
  return document.at(json::json_pointer(j.at("$ref").get<std::string>().substr(1)));
}

bool has_type(const json& value, const std::string& type) {
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
std::string misfit(const json& document, const json& unresolved, const json& value,
                   const std::string& where = "$");

/// Our patterns are POSIX's, too.
bool matches(const std::string& pattern, const std::string& text) {
  regex_t compiled{};
  if (::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
    throw std::runtime_error("the description has a pattern that is none: " + pattern);
  const bool found = ::regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  ::regfree(&compiled);
  return found;
}

/// Lengths, sizes, numbers and patterns; what a value is not of is no bound for it.
std::string misfit_of_bounds(const json& schema, const json& value, const std::string& where) {
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

std::string misfit_of_object(const json& document, const json& schema, const json& value,
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

std::string misfit(const json& document, const json& unresolved, const json& value,
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

// ---- requests that lead to each described status

std::string concrete(std::string path, const std::string& id) {
  if (const auto at = path.find("{id}"); at != path.npos) path.replace(at, 4, id);
  if (const auto at = path.find("{model}"); at != path.npos)
    path.replace(at, 7, id == "A" ? "countdown-3" : id);
  if (const auto at = path.find("{file}"); at != path.npos) path.replace(at, 6, "page.css");
  return path;
}

std::string body_for(const std::string& path) {
  if (path == "/v1/trees") return solvable;
  if (path == "/v1/completions") return R"({"prompt": "a", "logprobs": 1})";
  return {};
}

http_options options_for(const std::string& status) {
  auto options = on_any_port();
  if (status == "401" || status == "303") options.token = "open sesame";
  if (status == "429") options.requests_per_s = 0.001;
  if (status == "503") options.max_connections = 2;
  return options;
}

tree finished(tree t) {
  fake_forest::finish(t);
  return t;
}

void prepare(fake_forest& trees, const std::string& status) {
  trees.at_once = true;
  trees.now.ready = status != "503";
  pool_status pool;
  pool.name = "cpu:0";
  trees.now.node.pools = {pool};
  trees.rows = {{"A", "/", thread_phase::decoding, 1, 0, 1000}};
  trees.put(status == "409" || status == "204" ? finished(fake_forest::running_tree("A"))
                                               : fake_forest::running_tree("A"));
  trees.decode = [](std::uint64_t, const auto&, const auto&, const answer_to<completion_end>& end) {
    end(completion_end{{"a", {{"a", -1.F, {}}}}, "length", {}, 1, 1, 0});
  };
  if (status == "503")
    trees.refuse = refusal{refusal::kind::unavailable, "the store: it is full; make room"};
}

std::string bytes_for(const std::string& status, const std::string& method,
                      const std::string& path) {
  auto target = concrete(path, status == "404" ? "none" : "A");
  if (status == "404" && path == "/page/{file}") target = "/page/none.js";
  if (status == "303") target += "?token=open+sesame";
  if (status == "400") return method + ' ' + target + " HTTP/1.1\r\n\r\n"; // no Host
  if (status == "403") return method + ' ' + target + " HTTP/1.1\r\nHost: evil.example\r\n\r\n";
  if (status == "413") return request_text(method, target, {}, "Content-Length: 9999999\r\n");
  std::string headers;
  if (status == "415") headers = "Content-Encoding: gzip\r\n";
  if (status == "304") headers = "If-None-Match: *\r\n";
  if (status == "204") headers = "Last-Event-ID: A-4\r\n"; // its last one
  auto body = body_for(path);
  if (status == "202") body.insert(1, R"("wait": false, )");
  if (status == "404" && !body.empty()) body.insert(1, R"("model": "none", )");
  return request_text(method, target, method == "POST" ? body : "", headers);
}

http_answer answer_for(const std::string& status, const std::string& method,
                       const std::string& path) {
  served s(options_for(status));
  prepare(s.trees, status);
  const auto bytes = bytes_for(status, method, path);
  if (status == "429") s.get("/v1/models"); // takes the only token
  auto other = s.connect();
  if (status == "503" && path == "/v1/events") { // the only one there may be
    other.send(bytes);
    read_head(other);
  }
  auto client = s.connect();
  client.send(bytes);
  auto answer = read_head(client);
  if (!answer.header("content-length").empty() && answer.status != 304)
    answer.body = client.take(std::stoul(answer.header("content-length")));
  return answer;
}

void check_body(const json& document, const json& described, const http_answer& answer) {
  if (!described.contains("content")) return;
  const auto type =
      answer.header("content-type").substr(0, answer.header("content-type").find(';'));
  const auto& content = described.at("content");
  if (content.contains("*/*")) return;
  INFO("content type " << type);
  REQUIRE(content.contains(type));
  if (type != "application/json") return;
  CHECK(misfit(document, content.at(type).at("schema"), json::parse(answer.body)) == "");
}

const json& description() {
  static const json document = [] {
    const served s;
    return s.get_json("/openapi.json");
  }();
  return document;
}

// ---- the description against the server

TEST_CASE("every route is described and every description is a route", "[http]") {
  std::set<std::string> routes, described;
  for (const auto& route : http_route_table())
    routes.insert(lower(route.method) + ' ' + std::string(route.path));
  for (const auto& [path, methods] : description().at("paths").items())
    for (const auto& [method, operation] : methods.items()) described.insert(method + ' ' + path);
  CHECK(routes == described);
}

TEST_CASE("every path answers with each status that is described", "[http]") {
  const auto& document = description();
  for (const auto& [path, methods] : document.at("paths").items())
    for (const auto& [method, operation] : methods.items())
      for (const auto& [status, response] : operation.at("responses").items()) {
        INFO(method << ' ' << path << ' ' << status);
        const auto answer = answer_for(status, upper(method), path);
        CHECK(std::to_string(answer.status) == status);
        const auto& described = resolved(document, response);
        const auto headers = described.value("headers", json::object());
        for (const auto& [name, header] : headers.items())
          CHECK(answer.headers.contains(lower(name)));
        check_body(document, described, answer);
      }
}

TEST_CASE("every parameter that is described is known", "[http]") {
  served s;
  prepare(s.trees, "200");
  for (const auto& [path, methods] : description().at("paths").items())
    for (const auto& [method, operation] : methods.items())
      for (const auto& parameter : operation.value("parameters", json::array())) {
        if (parameter.at("in") != "query") continue;
        const auto name = parameter.at("name").get<std::string>();
        INFO(path << ' ' << name);
        raw_client client(s.server.port());
        client.send(request_text(upper(method), concrete(path, "A") + '?' + name + "=1"));
        const auto answer = read_head(client);
        const auto body = client.take(std::stoul(answer.header("content-length")));
        CHECK(body.find("no such parameter") == body.npos);
      }
}

TEST_CASE("every field that is described is known and no other", "[http]") {
  served s;
  prepare(s.trees, "200");
  const auto& schemas = description().at("components").at("schemas");
  const auto accepts = [&](const json& body) {
    return s.post("/v1/trees", body.dump()).status == 200;
  };
  for (const auto& [name, schema] : schemas.at("TreeRequest").at("properties").items()) {
    INFO(name);
    auto body = json::parse(solvable);
    if (!body.contains(name)) body[name] = nullptr;
    CHECK(accepts(body));
  }
  for (const auto& [part, schema] : std::vector<std::pair<std::string, std::string>>{
           {"sampling", "Sampling"}, {"budget", "Budget"}})
    for (const auto& [name, field] : schemas.at(schema).at("properties").items()) {
      INFO(part << '.' << name);
      auto body = json::parse(solvable);
      body[part][name] = nullptr;
      CHECK(accepts(body));
      body[part][name + "x"] = nullptr;
      CHECK_FALSE(accepts(body));
    }
}

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
  const auto solvable_body = json::parse(solvable);
  auto fields = s.fields_of("TreeRequest");
  std::erase(fields, "prompt"); // a text that is its field's is no task's
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable_body, "", fields);
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable_body, "sampling", s.fields_of("Sampling"));
  s.agree_on_bodies("/v1/trees", "TreeRequest", solvable_body, "budget", s.fields_of("Budget"));
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

TEST_CASE("every event is as described", "[http]") {
  const auto& document = description();
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/trees/A/events");
  const std::vector kinds{tree_event::kind::tree, tree_event::kind::thread, tree_event::kind::spawn,
                          tree_event::kind::text, tree_event::kind::join};
  for (const auto kind : kinds) {
    auto e = event_of(kind, "A");
    e.state = kind == tree_event::kind::tree ? "running" : "decoding";
    s.trees.hub.publish(std::move(e));
  }
  s.trees.end("A");
  std::set<std::string> names;
  while (const auto e = stream.next()) {
    INFO(e->name << ' ' << e->data.dump());
    names.insert(e->name);
    CHECK(misfit(document, document.at("components").at("schemas").at("Event"), e->data).empty());
  }
  CHECK(names == std::set<std::string>{"tree", "thread", "spawn", "text", "join", "done"});
}

TEST_CASE("the schema checker finds faults", "[http]") {
  const auto& document = description();
  const auto fits = [&](const char* name, const char* value) {
    return misfit(document, document.at("components").at("schemas").at(name), json::parse(value))
        .empty();
  };
  CHECK(fits("Problem", R"({"numbers": [1], "target": 2})"));
  CHECK_FALSE(fits("Problem", R"({"numbers": [1]})"));
  CHECK_FALSE(fits("Problem", R"({"numbers": [1.5], "target": 2})"));
  CHECK_FALSE(fits("Failure", R"("unknown")"));
  CHECK_FALSE(fits("Budget", R"({"tokens": 1})"));
}

} // namespace
} // namespace banyan
