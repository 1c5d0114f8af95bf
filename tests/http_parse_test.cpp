#include "apps/serving/event_text.hpp"
#include "apps/serving/gate.hpp"
#include "apps/serving/metrics.hpp"
#include "apps/serving/urls.hpp"
#include "tests/refused_field.hpp"

#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = nlohmann::ordered_json;

// ---- URLs

TEST_CASE("percent signs are undone and half ones refused", "[http]") {
  CHECK(percent_decoded("a%20b%2f") == "a b/");
  CHECK(percent_decoded("%00") == std::string(1, '\0'));
  for (const auto* wrong : {"%", "%2", "%zz", "a%1"}) CHECK_FALSE(percent_decoded(wrong));
}

TEST_CASE("a path is taken apart before its parts are decoded", "[http]") {
  using segments = std::vector<std::string>;
  CHECK(path_segments("/") == segments{});
  CHECK(path_segments("/v1/trees/a%2Fb") == segments{"v1", "trees", "a/b"});
  CHECK(path_segments("/v1//x/") == segments{"v1", "", "x", ""});
  CHECK_FALSE(path_segments("v1"));
  CHECK_FALSE(path_segments("/%"));
}

TEST_CASE("a query is read once and strictly", "[http]") {
  url_query query("limit=3&label=a=b&label=c%3Dd&solved=true&empty=&text=a+b");
  CHECK(query.number("limit", 1, 10, 5) == 3);
  CHECK(query.number("offset", 0, 10, 5) == 5);
  CHECK(query.texts("label") == std::vector<std::string>{"a=b", "c=d"});
  CHECK(query.flag("solved") == true);
  CHECK_FALSE(query.text("empty"));
  CHECK(refused_field([&] { query.end(); }) == "text");
  CHECK(query.text("text") == "a b");
  CHECK(refused_field([&] { query.end(); }).empty());
  CHECK(refused_field([&] { query.text("label"); }) == "label");
  CHECK(refused_field([] { url_query("limit=0").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("limit=3x").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("limit=-3").number("limit", 1, 10, 5); }) == "limit");
  CHECK(refused_field([] { url_query("solved=yes").flag("solved"); }) == "solved");
  CHECK(refused_field([] { url_query("at=today").time_ms("at"); }) == "at");
  CHECK_FALSE(refused_field([] { url_query("a=%"); }).empty());
}

TEST_CASE("a client's own words come back short", "[http]") {
  CHECK(shortened(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(shortened(std::string(7000, 'x')) == std::string(80, 'x') + "…");
  CHECK(shortened(std::string(79, 'x') + "ä and more") == std::string(79, 'x') + "…");
  CHECK(refused_field([] { url_query(std::string(7000, 'x') + "=1").end(); }).size() < 100);
}

TEST_CASE("times are read in both forms", "[http]") {
  CHECK(parse_time("2026-11-22T09:30:00.123Z") == 1795339800123);
  CHECK(parse_time("2026-11-22T10:30:00.1234567+01:00") == 1795339800123);
  CHECK(parse_time("2026-11-22T08:00:00-01:30") == 1795339800000);
  CHECK(parse_time("2026-11-22 09:30:00z") == 1795339800000);
  CHECK(parse_time("1795339800.123") == 1795339800123);
  CHECK(parse_time("0") == 0);
  for (const auto* wrong : {"", "today", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "-1",
                            "nan", "2026-11-22T25:00:00Z", "2026-11-22T09:30:00",
                            "2026-11-22T09:30:00.Z", "2026-11-22T09:30:00Zx", "2026-11-22"}) {
    INFO(wrong);
    CHECK_FALSE(parse_time(wrong));
  }
}

// ---- the gate

http_request request_from(const std::string& host, http_headers more = {}) {
  http_request request{"GET", "/v1/status", {}, {{"host", host}}, {}, "127.0.0.1", {}};
  for (auto& header : more) request.headers.push_back(std::move(header));
  return request;
}

int let_in(gate& g, const http_request& request) {
  const auto no = g.check(request, std::chrono::steady_clock::time_point{});
  return no ? no->status : 200;
}

TEST_CASE("without a token only our own names are answered", "[http]") {
  http_options options;
  options.address = "127.0.0.2";
  gate g(options);
  for (const auto* host :
       {"127.0.0.1:8427", "localhost", "LOCALHOST:1", "[::1]:8427", "127.0.0.2:1"})
    CHECK(let_in(g, request_from(host)) == 200);
  for (const auto* host : {"evil.example", "localhost.evil.example:8427", "127.evil.example",
                           "[::2]", "127.0.0.1.evil", "0.0.0.0", "["}) {
    INFO(host);
    CHECK(let_in(g, request_from(host)) == 403);
  }
}

TEST_CASE("a host is asked for once and not of HTTP/1.0", "[http]") {
  http_options options;
  gate g(options);
  http_request request{"GET", "/v1/status", {}, {}, {}, "127.0.0.1", {}};
  CHECK(let_in(g, request) == 400);
  request.is_1_0 = true;
  CHECK(let_in(g, request) == 200);
  request.headers = {{"origin", "http://evil.example"}};
  request.method = "POST";
  CHECK(let_in(g, request) == 403);
  request.headers = {{"host", "evil.example"}};
  CHECK(let_in(g, request) == 403);
  request.headers = {{"host", "localhost"}, {"host", "localhost"}};
  CHECK(let_in(g, request) == 400);
}

TEST_CASE("a page of another site changes nothing", "[http]") {
  http_options options;
  gate g(options);
  auto request = request_from("localhost:8427", {{"origin", "http://evil.example"}});
  CHECK(let_in(g, request) == 200);
  request.method = "POST";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "null";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "http://localhost:3000";
  CHECK(let_in(g, request) == 403);
  request.headers.back().second = "http://localhost:8427";
  CHECK(let_in(g, request) == 200);
}

TEST_CASE("a token is asked for by its whole text", "[http]") {
  http_options options;
  options.token = "open sesame";
  gate g(options);
  const auto with = [&](const char* name, const char* value) {
    return let_in(g, request_from("anything", {{name, value}}));
  };
  CHECK(let_in(g, request_from("anything")) == 401);
  CHECK(with("authorization", "Bearer open sesame") == 200);
  CHECK(with("authorization", "Bearer   open sesame") == 200);
  CHECK(with("authorization", "bearer open sesame") == 200);
  for (const auto* wrong : {"Bearer open", "Bearer open sesame!", "Bearer ", "Basic open sesame",
                            "open sesame", "Bearer OPEN SESAME", ""}) {
    INFO(wrong);
    CHECK(with("authorization", wrong) == 401);
  }
  const auto [name, value] = session_for(options.token);
  CHECK(with("cookie", ("a=b; " + name + "=" + value + "; c=d").c_str()) == 200);
  CHECK(with("cookie", (name + "=" + value).c_str()) == 200);
  CHECK(with("cookie", (name + "=open sesame").c_str()) == 401);
  CHECK(with("cookie", ("x" + name + "=" + value).c_str()) == 401);
  CHECK(with("cookie", (name + "=").c_str()) == 401);
  CHECK(same_secret("", ""));
  CHECK_FALSE(same_secret("a", ""));
  CHECK_FALSE(same_secret("", "a"));
}

TEST_CASE("a browser's session is its token's alone", "[http]") {
  const auto one = session_for("open sesame"), same = session_for("open sesame"),
             other = session_for("open sesame!");
  CHECK(one.name == same.name);
  CHECK(one.value == same.value); // after a restart
  CHECK(one.name != other.name);  // two daemons of one host
  CHECK(one.value != other.value);
  CHECK(one.value.size() == 64);
  CHECK((one.name + one.value).find("sesame") == std::string::npos);
}

TEST_CASE("a browser whose token was changed is let in no more", "[http]") {
  http_options options;
  options.token = "open sesame";
  gate g(options);
  const auto [name, value] = session_for(options.token);
  const auto request = request_from("anything", {{"cookie", name + "=" + value}});
  CHECK(let_in(g, request) == 200);
  options.token = "open sesame!";
  CHECK(let_in(g, request) == 401);
}

TEST_CASE("an address that asks too often waits and no other does", "[http]") {
  using namespace std::chrono_literals;
  rate_limiter rates(2);
  const rate_limiter::time_point start{1h};
  CHECK(rates.take("a", start) == 0);
  CHECK(rates.take("a", start) == 0);
  CHECK(rates.take("a", start) == Approx(0.5));
  CHECK(rates.take("b", start) == 0);
  CHECK(rates.take("a", start + 250ms) == Approx(0.25));
  CHECK(rates.take("a", start + 500ms) == 0);
  CHECK(rates.take("a", start + 1h) == 0);
  CHECK(rates.take("a", start + 1h) == 0);
  CHECK(rates.take("a", start + 1h) > 0);
  rate_limiter off(0);
  for (int i = 0; i < 1000; ++i) CHECK(off.take("a", start) == 0);
}

TEST_CASE("many addresses cost no more room than some and who asks often stays known", "[http]") {
  rate_limiter rates(2);
  const rate_limiter::time_point start{std::chrono::hours(1)};
  CHECK(rates.take("a", start) == 0);
  for (int i = 0; i < 10000; ++i) {
    rates.take("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256), start);
    if (i % 1000 == 0) rates.take("a", start);
    CHECK(rates.size() <= rate_limiter::most);
  }
  CHECK(rates.take("a", start) > 0);           // asked more than twice
  CHECK(rates.take("10.0.39.15", start) == 0); // the last of the others asked once
  CHECK(rates.take("10.0.39.15", start) > 0);
}

TEST_CASE("addresses of one IPv6 network are counted together", "[http]") {
  rate_limiter rates(2);
  const rate_limiter::time_point start{std::chrono::hours(1)};
  CHECK(rates.take("2001:db8:1:2::1", start) == 0);
  CHECK(rates.take("2001:db8:1:2:ffff::7", start) == 0);
  CHECK(rates.take("2001:db8:1:2:3:4:5:6", start) > 0);
  CHECK(rates.take("2001:db8:1:3::1", start) == 0);
  CHECK(rates.take("fe80::1%eth0", start) == 0);
  CHECK(rates.take("::ffff:10.0.0.1", start) == 0);
  CHECK(rates.take("10.0.0.1", start) == 0);
  CHECK(rates.take("10.0.0.1", start) > 0); // the same machine by either name
  CHECK(rates.take("::ffff:10.0.0.2", start) == 0);
}

// ---- events and figures

TEST_CASE("an event is sent as one line of data", "[http]") {
  json data;
  data["text"] = "a\nb";
  CHECK(event_text("text", "s-3", data) == "event: text\nid: s-3\ndata: {\"text\":\"a\\nb\"}\n\n");
}

TEST_CASE("an event's number counts only in its own stream", "[http]") {
  CHECK(event_number("abc-17", "abc") == 17);
  CHECK(event_number(told_id("abc", 17, 2), "abc") == 17);
  CHECK(event_number(part_id("abc", 17, 2, 3), "abc") == 0);
  for (const auto* wrong : {"", "abc", "abc-", "abc-x", "abc-1x", "abd-17", "abcd-17", "abc--1",
                            "abc-17.", "abc-17.x", "abc-.2", "abc-17.2."})
    CHECK(event_number(wrong, "abc") == 0);
}

TEST_CASE("figures are drawn as Prometheus reads them", "[http]") {
  forest_status s;
  s.version = "1.2";
  s.node.failures[errc::no_solution] = 4;
  pool_status pool;
  pool.name = "cpu:0";
  pool.prompt_tokens = 10;
  pool.cached_tokens = 5;
  pool.step_s = histogram({0.1, 1});
  pool.step_s.add(0.05, 2);
  pool.step_s.add(7);
  s.node.pools = {pool};
  s.threads[thread_phase::waiting] = 3;
  s.damaged_trees = 2;
  s.store_trouble = "d/trees.db: full; make room";
  s.node.pools[0].cancelled = 6;
  http_counters http;
  http.count("GET", "/v1/trees/{id}", 200, 0.01);
  const auto text = metrics_text(daemon_metrics(s, http));
  for (const auto* line :
       {"# TYPE banyan_trees gauge\n", "banyan_info{version=\"1.2\"} 1\n",
        "banyan_threads{state=\"waiting\"} 3\n", "banyan_threads{state=\"queued\"} 0\n",
        "banyan_tree_failures_total{failure=\"no_solution\"} 4\n",
        "banyan_tree_failures_total{failure=\"pool_lost\"} 0\n",
        "banyan_thread_failures_total{failure=\"no_solution\"} 0\n",
        "banyan_thread_failures_total{failure=\"child_lost\"} 0\n",
        "banyan_store_damaged_trees 2\n", "banyan_store_writable 0\n",
        "banyan_pool_failed_total{pool=\"cpu:0\"} 0\n",
        "banyan_pool_cancelled_total{pool=\"cpu:0\"} 6\n",
        "banyan_pool_cache_hit_ratio{pool=\"cpu:0\"} 0.5\n",
        "banyan_pool_step_seconds_bucket{pool=\"cpu:0\",le=\"0.1\"} 2\n",
        "banyan_pool_step_seconds_bucket{pool=\"cpu:0\",le=\"+Inf\"} 3\n",
        "banyan_pool_step_seconds_count{pool=\"cpu:0\"} 3\n",
        "banyan_http_requests_total{method=\"GET\",path=\"/v1/trees/{id}\",status=\"200\"} 1\n"}) {
    INFO(line);
    CHECK(text.find(line) != text.npos);
  }
}

} // namespace
} // namespace banyan
