#include "tests/http_fixture.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>

namespace banyan {
namespace {

TEST_CASE("another site's name is not answered without a token", "[http]") {
  served s;
  const auto as = [&](const std::string& host, const std::string& path = "/v1/status") {
    auto client = s.connect();
    client.send("GET " + path + " HTTP/1.1\r\n" + host + "\r\n");
    return read_answer(client);
  };
  CHECK(told_error(as("Host: evil.example\r\n")) == "403 forbidden");
  CHECK(told_error(as("")) == "400 bad_request Host");
  CHECK(told_error(as("Host: localhost\r\nHost: evil.example\r\n")) == "400 bad_request Host");
  CHECK(as("Host: evil.example\r\n", "/healthz").status == 200);
}

TEST_CASE("another site's page starts no trees", "[http]") {
  served s;
  const std::string body = R"({"problem": {"numbers": [3, 5], "target": 15}, "wait": false})";
  CHECK(told_error(s.post("/v1/trees", body, "Origin: http://evil.example\r\n"))
        == "403 forbidden");
  CHECK(s.post("/v1/trees", body, "Origin: http://localhost\r\n").status == 202);
  CHECK(s.trees.submitted.size() == 1);
}

TEST_CASE("a token is asked for everywhere but for health", "[http]") {
  auto options = on_any_port();
  options.token = "open sesame";
  served s(options);
  for (const auto* path : {"/", "/v1/trees", "/metrics", "/readyz", "/openapi.json", "/nowhere"}) {
    const auto answer = s.get(path);
    CHECK(told_error(answer) == "401 unauthorized");
    CHECK(answer.header("www-authenticate").starts_with("Bearer"));
  }
  CHECK(s.get("/healthz").status == 200);
  CHECK(s.get("/v1/trees", "Authorization: Bearer open sesame\r\n").status == 200);
  CHECK(s.get("/v1/trees", "Authorization: Bearer open\r\n").status == 401);
  CHECK(s.get("/v1/trees?token=open%20sesame").status == 401);
}

TEST_CASE("a browser changes the token for a cookie", "[http]") {
  auto options = on_any_port();
  options.token = "open sesame";
  served s(options);
  CHECK(s.get("/?token=wrong").status == 401);
  CHECK(s.get("/").body.find("\"unauthorized\"") != std::string::npos);
  const auto closed = s.get("/", "Accept: text/html,*/*;q=0.8\r\n");
  CHECK(closed.status == 401);
  CHECK(closed.header("content-type") == "text/html; charset=utf-8");
  CHECK(closed.body.find("/?token=TOKEN") != std::string::npos);
  const auto let_in = s.get("/?token=open%20sesame");
  CHECK(let_in.status == 303);
  CHECK(let_in.header("location") == "/");
  const auto cookie = let_in.header("set-cookie");
  CHECK(cookie.find("; HttpOnly; SameSite=Strict") != cookie.npos);
  CHECK(cookie.find("sesame") == cookie.npos);
  const auto pair = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  CHECK(s.get("/", pair).status == 200);
  CHECK(s.get("/v1/trees", pair).status == 200);
}

TEST_CASE("a new token ends what the old one opened and a new rate holds", "[http]") {
  auto options = on_any_port();
  options.token = "first";
  served s(options);
  const auto cookie = s.get("/?token=first").header("set-cookie");
  const auto old = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  const std::string fresh = "Authorization: Bearer second\r\n";
  CHECK(s.get("/v1/trees", old).status == 200);
  options.token = "second";
  s.server.reload(options);
  CHECK(s.get("/v1/trees", old).status == 401);
  options.requests_per_s = 0.001;
  s.server.reload(options);
  CHECK(s.get("/v1/trees", fresh).status == 200);
  CHECK(s.get("/v1/trees", fresh).status == 429);
}

TEST_CASE("a new rate does not give back what was taken under the old one", "[http]") {
  auto options = on_any_port();
  options.requests_per_s = 0.001;
  served s(options);
  CHECK(s.get("/v1/trees").status == 200);
  CHECK(s.get("/v1/trees").status == 429);
  options.requests_per_s = 0.002;
  s.server.reload(options);
  CHECK(s.get("/v1/trees").status == 429);
}

TEST_CASE("who asks too often is told when to come back", "[http]") {
  auto options = on_any_port();
  options.requests_per_s = 0.5;
  served s(options);
  CHECK(s.get("/v1/trees").status == 200);
  const auto answer = s.get("/v1/trees");
  CHECK(told_error(answer) == "429 too_many_requests");
  CHECK(answer.header("retry-after") == "2");
  CHECK(s.get("/healthz").status == 200);
  options.requests_per_s = 1e-300;
  s.server.reload(options);
  CHECK(s.get("/v1/trees").header("retry-after") == "86400");
}

/// What a client gets when there is room for it again.
int status_with_room(const served& s) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    const auto status = s.get("/v1/models").status;
    if (status != 503 || std::chrono::steady_clock::now() > until) return status;
  }
}

TEST_CASE("a client for whom there is no room is told so and a probe is answered", "[http]") {
  auto options = on_any_port();
  options.max_connections = 2;
  served s(options);
  auto first = s.connect();
  auto second = s.connect();
  for (auto* client : {&first, &second}) {
    client->send(health);
    CHECK(read_answer(*client).status == 200);
  }
  for (int i = 0; i < 100; ++i) {
    const auto answer = last_answer(s, request_text("GET", "/v1/models"));
    CHECK(told_error(answer) == "503 unavailable");
    CHECK(answer.header("retry-after") == "1");
    CHECK(answer.header("connection") == "close");
    const auto well = last_answer(s, health);
    CHECK(well.status == 200);
    CHECK(well.body == "ok\n");
  }
  first.send(health);
  CHECK(read_answer(first).status == 200);
  first.close();
  CHECK(status_with_room(s) == 200);
}

TEST_CASE("clients at the door that say nothing keep a probe waiting for a moment only", "[http]") {
  auto options = on_any_port();
  options.max_connections = 1;
  served s(options);
  auto inside = s.connect();
  inside.send(health);
  CHECK(read_answer(inside).status == 200);
  std::vector<raw_client> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(s.connect());
  CHECK(s.get("/healthz").status == 200);
  CHECK(read_answer(silent.front()).status == 503);
}

TEST_CASE("streams of events leave room for others", "[http]") {
  auto options = on_any_port();
  options.max_connections = 8;
  served s(options);
  std::vector<event_reader> streams;
  for (int i = 0; i < 7; ++i) {
    streams.emplace_back(s, "/v1/events");
    CHECK(streams.back().head.status == 200);
  }
  auto last = s.connect();
  last.send(request_text("GET", "/v1/events"));
  const auto refused = read_answer(last);
  CHECK(told_error(refused) == "503 unavailable");
  CHECK(refused.header("retry-after") == "1");
  last.send(request_text("GET", "/v1/models"));
  CHECK(read_answer(last).status == 200);
  streams.pop_back();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  int status = 503;
  while (status == 503 && std::chrono::steady_clock::now() < until) {
    last.send(request_text("GET", "/v1/events"));
    const auto head = read_head(last);
    status = head.status;
    last.take(std::stoul("0" + head.header("content-length")));
  }
  CHECK(status == 200);
}

#if !defined(__SANITIZE_ADDRESS__) // UBSan opens a pipe to look at a type, and takes its failure
                                   // for a fault
TEST_CASE("a client for whom there is no file is sent away and keeps nobody busy", "[http]") {
  const auto cpu_ms = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto ms = [](const timeval& t) { return 1000 * t.tv_sec + t.tv_usec / 1000; };
    return ms(used.ru_utime) + ms(used.ru_stime);
  };
  served s;
  auto inside = s.connect();
  inside.send(health);
  CHECK(read_answer(inside).status == 200);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const int next = ::dup(0); // the lowest that is free
  ::close(next);
  rlimit fewer = files;
  fewer.rlim_cur = static_cast<rlim_t>(next) + 1; // the client's own
  ::setrlimit(RLIMIT_NOFILE, &fewer);
  {
    auto outside = s.connect();
    CHECK(outside.closed());
    const auto before = cpu_ms();
    CHECK_FALSE(inside.readable(200));
    CHECK(cpu_ms() - before < 100);
  }
  inside.send(health);
  CHECK(read_answer(inside).status == 200);
  ::setrlimit(RLIMIT_NOFILE, &files);
  auto later = s.connect();
  later.send(health);
  CHECK(read_answer(later).status == 200);
}
#endif

TEST_CASE("clients that leave before they are looked at keep no place", "[http]") {
  auto options = on_any_port();
  options.max_connections = 2;
  served s(options);
  for (int i = 0; i < 20; ++i) {
    auto gone = s.connect();
    gone.reset();
  }
  CHECK(status_with_room(s) == 200);
}

TEST_CASE("a client that sends nothing or half a request is dropped", "[http]") {
  auto options = on_any_port();
  options.read_timeout_s = 0.1;
  served s(options);
  auto silent = s.connect();
  auto slow = s.connect();
  slow.send("GET /healthz HTTP/1.1\r\nHost: lo");
  CHECK(silent.closed());
  CHECK(slow.closed());
}

} // namespace
} // namespace banyan
