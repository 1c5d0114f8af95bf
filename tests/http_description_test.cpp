#include "apps/serving/routes.hpp"
#include "tests/described_server.hpp"
#include "tests/http_cases.hpp"
#include "tests/json_schema.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

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

// ---- requests that lead to each described status

std::string body_for(const std::string& path) {
  if (path == "/v1/trees") return solvable.dump();
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
    auto body = solvable;
    if (!body.contains(name)) body[name] = nullptr;
    CHECK(accepts(body));
  }
  for (const auto& [part, schema] : std::vector<std::pair<std::string, std::string>>{
           {"sampling", "Sampling"}, {"budget", "Budget"}})
    for (const auto& [name, field] : schemas.at(schema).at("properties").items()) {
      INFO(part << '.' << name);
      auto body = solvable;
      body[part][name] = nullptr;
      CHECK(accepts(body));
      body[part][name + "x"] = nullptr;
      CHECK_FALSE(accepts(body));
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
