#include "tests/streamed.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

TEST_CASE("what is no HTTP is told so and the server goes on", "[http]") {
  served s;
  for (const std::string& bytes :
       {std::string("rubbish\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("BREW / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01\x02\x00\x01\x00", 7)}) {
    INFO(bytes);
    CHECK(told_error(last_answer(s, bytes)) == "501 not_implemented");
  }
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost localhost\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    INFO(bytes);
    CHECK(told_error(last_answer(s, bytes)) == "400 bad_request");
  }
  CHECK(s.get("/healthz").status == 200);
}

TEST_CASE("a body that is announced too long is not read", "[http]") {
  served s;
  const auto answer = last_answer(
      s, "POST /v1/trees HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
  CHECK(told_error(answer) == "413 too_large");
  CHECK(answer.header("connection") == "close");
}

TEST_CASE("a body that is announced too long is not called for", "[http]") {
  served s;
  for (const auto* head :
       {"POST /v1/trees HTTP/1.1\r\nHost: localhost\r\n", "FETCH / HTTP/1.1\r\n"}) {
    const auto answer = last_answer(
        s, std::string(head) + "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
    CHECK(answer.status == (head[0] == 'P' ? 413 : 501));
  }
}

TEST_CASE("a refusal of what is not read is one that OpenAI's clients know", "[http]") {
  served s;
  const auto answer = last_answer(
      s, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
  const auto error = json::parse(answer.body).at("error");
  CHECK(error.at("type") == "invalid_request_error");
  CHECK(error.at("param").is_null());
}

TEST_CASE("a body that becomes too long is not read on", "[http]") {
  served s;
  auto client = s.connect();
  client.send("POST /v1/trees HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto piece = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 17; ++i) client.send(piece);
  CHECK(told_error(read_answer(client)) == "413 too_large");
}

TEST_CASE("the longest body allowed is read", "[http]") {
  served s;
  s.trees.at_once = true;
  std::string body = R"({"problem": {"numbers": [3, 5], "target": 15}})";
  body.resize(1 << 20, ' ');
  CHECK(s.post("/v1/trees", body).status == 200);
}

TEST_CASE("a URL that is too long is told so", "[http]") {
  served s;
  CHECK(told_error(last_answer(s, request_text("GET", '/' + std::string(20'000, 'a'))))
        == "414 too_large");
  CHECK(s.get('/' + std::string(8000, 'a')).status == 404);
}

TEST_CASE("no refusal grows with what a client said", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  const std::string word(6000, 'a'), quoted = '"' + word + '"';
  std::string path;
  while (path.size() < word.size()) path += "/0";
  const std::string problem = R"({"problem": {"numbers": [3, 5], "target": 15}, )";
  struct asked {
    std::string method, path, body, headers;
  };
  for (const auto& [method, url, body, headers] : std::vector<asked>{
           {"GET", "/" + word, {}, {}},
           {"GET", "/page/" + word, {}, {}},
           {"GET", "/v1/models/" + word, {}, {}},
           {"GET", "/v1/trees?" + word + "=1", {}, {}},
           {"GET", "/v1/trees?state=" + word, {}, {}},
           {"GET", "/v1/trees?label=" + word, {}, {}},
           {"GET", "/v1/trees?after=" + word, {}, {}},
           {"GET", "/v1/trees?created_after=" + word, {}, {}},
           {"GET", "/v1/trees?limit=" + word, {}, {}},
           {"GET", "/v1/trees?solved=%" + word, {}, {}},
           {"GET", "/v1/trees/A?threads_after=" + path, {}, {}},
           {"GET", "/v1/trees/A/threads?after=" + path, {}, {}},
           {"GET", "/v1/trees/A/threads?path=" + word, {}, {}},
           {"GET", "/v1/trees", {}, "Host: " + word + "\r\n"},
           {"POST", "/v1/trees/A/pause", {}, "Origin: http://" + word + "\r\n"},
           {"POST", "/v1/trees/A/pause", R"({"thread": )" + quoted + "}", {}},
           {"POST", "/v1/trees/A/pause", "{" + quoted + ": 1}", {}},
           {"POST", "/v1/trees", R"({"task": )" + quoted + "}", {}},
           {"POST", "/v1/trees", R"({"prompt": )" + quoted + "}", {}},
           {"POST", "/v1/trees", R"({"problem": )" + quoted + "}", {}},
           {"POST", "/v1/trees", problem + R"("join": )" + quoted + "}", {}},
           {"POST", "/v1/trees", problem + R"("labels": {)" + quoted + R"(: "x"}})", {}},
           {"POST", "/v1/trees", problem + R"("budget": {)" + quoted + ": 1}}", {}},
           {"POST", "/v1/completions", R"({"prompt": "x", "model": )" + quoted + "}", {}}}) {
    const auto* host = headers.starts_with("Host:") ? "" : "Host: localhost\r\n";
    auto client = s.connect();
    client.send(method + ' ' + url + " HTTP/1.1\r\n" + host + headers
                + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto answer = read_answer(client);
    INFO(url.substr(0, 60) << ' ' << body.substr(0, 90) << ' ' << headers.substr(0, 40));
    CHECK(answer.status >= 400);
    CHECK(answer.status < 500);
    CHECK(answer.body.size() < 600);
    CHECK(answer.body.find(word.substr(0, 81)) == answer.body.npos);
    CHECK(answer.body.find(path.substr(0, 81)) == answer.body.npos);
  }
}

TEST_CASE("headers that are too many or too long are told so", "[http]") {
  served s;
  const auto with = [](const std::string& headers) {
    return request_text("GET", "/healthz", {}, headers);
  };
  CHECK(told_error(last_answer(s, with("A: " + std::string(40'000, 'a') + "\r\n")))
        == "431 too_large");
  CHECK(told_error(last_answer(s, with(std::string(40'000, 'a') + ": a\r\n"))) == "431 too_large");
  std::string many;
  for (int i = 0; i < 200; ++i) many += "A: a\r\n";
  CHECK(told_error(last_answer(s, with(many))) == "431 too_large");
  std::string long_together;
  for (int i = 0; i < 10; ++i) long_together += "A: " + std::string(6000, 'a') + "\r\n";
  CHECK(told_error(s.get("/v1/status", long_together)) == "431 too_large");
  CHECK(s.get("/healthz", "A: " + std::string(30'000, 'a') + "\r\n").status == 200);
}

TEST_CASE("a request may come byte by byte", "[http]") {
  served s;
  auto client = s.connect();
  for (const auto byte : request_text("POST", "/v1/trees/A/cancel", "{}")) client.send({&byte, 1});
  CHECK(told_error(read_answer(client)) == "404 not_found");
}

TEST_CASE("a chunked request is read", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  auto client = s.connect();
  client.send(
      "POST /v1/trees/A/cancel HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "8\r\n{\"thread\r\n9\r\n\": \"/0/3\"\r\n1\r\n}\r\n0\r\n\r\n");
  CHECK(read_answer(client).status == 200);
  CHECK(s.trees.acted == std::vector<std::string>{"cancel A /0/3"});
}

TEST_CASE("requests that come together are answered in order", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  auto client = s.connect();
  std::string together;
  for (int i = 0; i < 20; ++i)
    together += request_text("GET", "/v1/trees/A?texts=false") + health
                + request_text("GET", "/v1/trees/none");
  client.send(together);
  for (int i = 0; i < 20; ++i) {
    CHECK(read_answer(client).status == 200);
    CHECK(read_answer(client).body == "ok\n");
    CHECK(read_answer(client).status == 404);
  }
}

TEST_CASE("a connection is kept for the next request unless its client says close", "[http]") {
  served s;
  auto client = s.connect();
  for (int i = 0; i < 3; ++i) {
    client.send(health);
    CHECK(read_answer(client).status == 200);
  }
  client.send(request_text("GET", "/healthz", {}, "Connection: close\r\n"));
  CHECK(read_answer(client).header("connection") == "close");
  CHECK(client.closed());
}

TEST_CASE("a wish for another protocol is not granted and does no harm", "[http]") {
  served s;
  const auto upgrade =
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n";
  CHECK(last_answer(s, request_text("GET", "/v1/trees", {}, upgrade)).status == 200);
  CHECK(told_error(last_answer(s, "CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        == "404 not_found");
}

TEST_CASE("a client of HTTP/1.0 is served without a host and without chunks", "[http]") {
  served s;
  auto old = s.connect();
  old.send("GET /v1/models HTTP/1.0\r\n\r\n");
  CHECK(read_answer(old).status == 200);
  CHECK(old.closed());
  auto stream = s.connect();
  stream.send("GET /v1/events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto head = read_head(stream);
  CHECK(head.status == 200);
  CHECK(head.header("transfer-encoding").empty());
  CHECK(head.header("content-length").empty());
  CHECK(head.header("connection") == "close");
  const std::string first = "retry: 1000\n";
  CHECK(stream.take(first.size()) == first);
  s.trees.hub.publish(event_of(tree_event::kind::thread, "A"));
  CHECK(stream.take_until("\n\n")->starts_with("event: thread\n"));
}

TEST_CASE("a body without chunks ends with its connection", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  s.trees.end("A");
  auto stream = s.connect();
  stream.send("GET /v1/trees/A/events HTTP/1.0\r\n\r\n");
  CHECK(read_head(stream).status == 200);
  std::string last;
  while (const auto event = stream.take_until("\n\n")) last = *event;
  CHECK(last.starts_with("event: done\n"));
}

/// A submission whose body the client keeps until it is called for.
std::string asking_head(const std::string& body, const std::string& version = "1.1") {
  return "POST /v1/trees HTTP/" + version
         + "\r\nHost: localhost\r\nexpect:  100-Continue\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n\r\n";
}
const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
const std::string body = R"({"problem": {"numbers": [25, 7, 36], "target": 54}, "wait": false})";

TEST_CASE("a client that waits to be called for its body is called", "[http]") {
  served s;
  for (int i = 0; i < 3; ++i) {
    auto client = s.connect();
    client.send(asking_head(body));
    CHECK(client.take(go_on.size()) == go_on);
    client.send(body);
    CHECK(read_answer(client).status == 202);
  }
  auto client = s.connect();
  client.send(asking_head(body) + body); // it did not wait
  CHECK(read_answer(client).status == 202);
}

TEST_CASE("a client of HTTP/1.0 is not called for its body", "[http]") {
  served s;
  auto client = s.connect();
  client.send(asking_head(body, "1.0"));
  client.send(body);
  CHECK(read_answer(client).status == 202); // nothing before it
}

TEST_CASE("nothing is called into an answer that is being given", "[http]") {
  served s;
  auto client = s.connect();
  client.send(request_text("GET", "/v1/events"));
  CHECK(read_head(client).status == 200);
  while (client.readable(100)) read_chunk(client);
  client.send(asking_head("{}"));
  s.get("/healthz"); // what was sent before has been read by now
  s.trees.hub.publish(event_of(tree_event::kind::tree, "A"));
  CHECK(read_chunk(client).find("event: tree") != std::string::npos);
}

TEST_CASE("an answer that cannot have a body says nothing of one", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  s.trees.end("A");
  auto client = s.connect();
  for (const auto& [path, headers, status] : std::vector<std::tuple<std::string, std::string, int>>{
           {"/v1/trees/A/events", "Last-Event-ID: A-99\r\n", 204},
           {"/openapi.json", "If-None-Match: *\r\n", 304}}) {
    client.send(request_text("GET", path, {}, headers));
    const auto head = read_head(client);
    CHECK(head.status == status);
    CHECK_FALSE(head.headers.contains("content-length"));
    CHECK_FALSE(head.headers.contains("content-type"));
    CHECK_FALSE(head.headers.contains("transfer-encoding"));
  }
  client.send(health);
  CHECK(read_answer(client).status == 200);
}

TEST_CASE("white space around a header's value does not matter", "[http]") {
  auto options = on_any_port();
  options.token = "open sesame";
  served s(options);
  CHECK(s.get("/v1/models", {}).status == 401);
  CHECK(s.get("/v1/models", "Authorization:  \tBearer open sesame \t\r\n").status == 200);
  CHECK(s.get("/v1/models", "Authorization: Bearer open sesame x\r\n").status == 401);
}

TEST_CASE("a whole URL stands for its path", "[http]") {
  served s;
  CHECK(s.get("http://localhost/healthz").status == 200);
  CHECK(s.get("/healthz#part").status == 200);
}

TEST_CASE("HEAD has the headers of GET and no body", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  auto client = s.connect();
  for (const auto* path :
       {"/", "/healthz", "/v1/trees", "/v1/trees/A", "/openapi.json", "/v1/models"}) {
    INFO(path);
    client.send(request_text("HEAD", path));
    const auto head = read_answer(client, false);
    const auto whole = s.get(path);
    CHECK(head.status == 200);
    CHECK(head.header("content-type") == whole.header("content-type"));
    CHECK(head.header("content-length") == std::to_string(whole.body.size()));
  }
  client.send(request_text("HEAD", "/v1/trees/none"));
  CHECK(read_answer(client, false).status == 404);
  client.send(request_text("HEAD", "/v1/trees/A/events"));
  CHECK(read_answer(client, false).header("content-type").starts_with("text/event-stream"));
  client.send(health);
  CHECK(read_answer(client).body == "ok\n"); // nothing of a body came before
  wait_for([&] { return s.trees.hub.num_subscribers() == 0; });
}

} // namespace
} // namespace banyan
