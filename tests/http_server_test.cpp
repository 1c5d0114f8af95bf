#include "apps/failure.hpp"
#include "tests/http_cases.hpp"

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

// ---- the daemon

forest_status busy_status() {
  forest_status s;
  s.version = "0.1.0";
  s.ready = true;
  s.uptime_s = 12.5;
  s.node.accepted = 9;
  s.node.running = 2;
  s.node.queued = 5;
  s.node.paused = 4; // three that wait and one that ran
  s.node.queued_paused = 3;
  s.node.pools_alive = 1;
  s.node.generated_tokens = 777;
  s.node.failures[errc::no_solution] = 3;
  s.threads = {{thread_phase::decoding, 5}, {thread_phase::waiting, 2}};
  s.store = {4, 2, 4096};
  pool_status pool;
  pool.name = "cpu:0";
  pool.blocks_total = 100;
  pool.batch_sizes = histogram({1, 8, 64});
  s.node.pools = {pool};
  return s;
}

TEST_CASE("a store that cannot be written is a reason not to be ready", "[http]") {
  served s;
  s.trees.now = busy_status();
  s.trees.now.ready = false;
  s.trees.now.store_trouble = "d/trees.db: full; make room";
  const auto ready = s.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(ready.body.find("d/trees.db: full; make room") != std::string::npos);
  const auto status = s.get_json("/v1/status");
  CHECK(status.at("ready") == false);
  CHECK(status.at("store").at("trouble") == "d/trees.db: full; make room");
  CHECK(status.at("not_ready").get<std::string>().find("cannot be written") != std::string::npos);
}

TEST_CASE("a list names the trees that it leaves out", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  s.trees.damaged = {"B"};
  const auto list = s.get_json("/v1/trees");
  CHECK(list.at("trees").size() == 1);
  CHECK(list.at("damaged") == json{"B"});
}

TEST_CASE("status and pools and nodes show what the forest says", "[http]") {
  served s;
  s.trees.now = busy_status();
  const auto status = s.get_json("/v1/status");
  CHECK(keys_of(status)
        == strings{"version", "ready", "not_ready", "draining", "uptime_s", "trees", "threads",
                   "failures", "store", "pools", "tokens"});
  CHECK(status.at("trees").at("accepted") == 9);
  CHECK(status.at("trees").at("queued") == 2);
  CHECK(status.at("trees").at("running") == 1);
  CHECK(status.at("trees").at("paused") == 4);
  CHECK(status.at("threads").at("decoding") == 5);
  CHECK(status.at("threads").at("paused") == 0);
  CHECK(status.at("failures").at("no_solution") == 3);
  CHECK(status.at("failures").at("pool_lost") == 0);
  CHECK(status.at("store")
        == json{{"finished", 4},
                {"unfinished", 2},
                {"bytes", 4096},
                {"damaged", 0},
                {"trouble", nullptr}});
  CHECK(status.at("not_ready") == nullptr);
  CHECK(status.at("tokens").at("generated") == 777);
  const auto pools = s.get_json("/v1/pools").at("pools");
  CHECK(pools == status.at("pools"));
  CHECK(keys_of(pools[0])
        == strings{"name", "node", "weights_epoch", "queued", "running", "finished", "failed",
                   "cancelled", "steps", "blocks", "prompt_tokens", "cached_tokens",
                   "generated_tokens", "busy_s", "forward_s"});
  CHECK(pools[0].at("blocks").at("total") == 100);
  const auto nodes = s.get_json("/v1/nodes").at("nodes");
  CHECK(nodes
        == json::parse(
            R"([{"name": "local", "state": "up", "pools": ["cpu:0"], "uptime_s": 12.5}])"));
}

TEST_CASE("live threads are listed page by page", "[http]") {
  served s;
  for (int i = 0; i < 7; ++i)
    s.trees.rows.push_back(
        {"A", child_path("/", std::uint32_t(i)), thread_phase::waiting, 7, 2, 1000});
  const auto page = s.get_json("/v1/threads?offset=3&limit=1");
  CHECK(page.at("total") == 7);
  CHECK(page.at("threads").dump()
        == R"([{"tree":"A","path":"/3","state":"waiting","generated_tokens":7,"waiting_for":2,)"
           R"("since":"1970-01-01T00:00:01.000Z"}])");
  CHECK(s.get_json("/v1/threads?offset=9").at("threads").empty());
  CHECK(told_error(s.get("/v1/threads?offset=-1")) == "400 bad_request offset");
}

TEST_CASE("the process is well as long as it answers", "[http]") {
  served s;
  s.trees.forgets = true;
  const auto answer = s.get("/healthz");
  CHECK(answer.status == 200);
  CHECK(answer.body == "ok\n");
}

TEST_CASE("the daemon is ready when it takes work", "[http]") {
  served s;
  const auto refused_for = [&](const char* why) {
    const auto answer = s.get("/readyz");
    INFO(answer.body);
    CHECK(told_error(answer) == "503 unavailable");
    CHECK(answer.body.find(why) != answer.body.npos);
  };
  s.trees.now.node.pools_alive = 1;
  refused_for("has just begun");
  s.trees.now.node.pools_alive = 0;
  refused_for("no device is left");
  s.trees.now = busy_status();
  CHECK(s.get("/readyz").status == 200);
  s.trees.now.ready = false;
  s.trees.now.closing = true;
  refused_for("about to end");
  s.trees.now = busy_status();
  s.trees.now.node.draining = true;
  refused_for("about to end");
}

TEST_CASE("metrics count requests by the path's template", "[http]") {
  served s;
  s.trees.now = busy_status();
  s.get("/v1/trees/one");
  s.get("/v1/trees/two");
  s.get("/nowhere");
  CHECK(s.get("/metrics?from=a-scraper").status == 200);
  CHECK(s.get("/v1/pools?from=a-scraper").status == 400);
  const auto answer = s.get("/metrics");
  CHECK(answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  const auto has = [&](const std::string& line) {
    INFO(line << " in " << answer.body);
    CHECK(answer.body.find(line) != std::string::npos);
  };
  has("banyan_http_requests_total{method=\"GET\",path=\"/v1/trees/{id}\",status=\"404\"} 2\n");
  has("banyan_http_requests_total{method=\"GET\",path=\"other\",status=\"404\"} 1\n");
  has("banyan_http_request_seconds_count{path=\"/v1/trees/{id}\"} 2\n");
  has("banyan_threads{state=\"decoding\"} 5\n");
  has("banyan_trees{state=\"queued\"} 2\n");
  has("banyan_trees{state=\"running\"} 1\n");
  has("banyan_trees{state=\"paused\"} 4\n");
  has("banyan_pool_batch_size_count{pool=\"cpu:0\"} 0\n");
  has("banyan_event_streams 0\n");
}

TEST_CASE("the model is listed as OpenAI lists models", "[http]") {
  served s;
  const auto models = s.get_json("/v1/models");
  CHECK(models.at("object") == "list");
  CHECK(models.at("data")[0].at("id") == "countdown-3");
  CHECK(models.at("data")[0].at("object") == "model");
}

TEST_CASE("the page is served with its types and may load nothing from elsewhere", "[http]") {
  served s;
  const auto page = s.get("/");
  CHECK(page.status == 200);
  CHECK(page.header("content-type") == "text/html; charset=utf-8");
  CHECK(page.header("content-security-policy").starts_with("default-src 'self'"));
  CHECK(page.header("x-content-type-options") == "nosniff");
  CHECK(page.body.find("<html") != std::string::npos);
  const auto again = s.get("/", "If-None-Match: " + page.header("etag") + "\r\n");
  CHECK(again.status == 304);
  CHECK(s.get("/page/index.html").body == page.body);
  for (const auto* none : {"/page/none.js", "/page/", "/page/..%2fopenapi.json", "/page/a/b"})
    CHECK(s.get(none).status == 404);
}

// ---- the server

TEST_CASE("a path that is none and a method that is none are told apart", "[http]") {
  served s;
  CHECK(told_error(s.get("/v2")) == "404 not_found");
  CHECK(told_error(s.get("/v1/trees/")) == "404 not_found");
  CHECK(told_error(s.get("/%zz")) == "404 not_found");
  const auto answer = ask(s.server.port(), "DELETE", "/v1/trees");
  CHECK(told_error(answer) == "405 method_not_allowed");
  CHECK(answer.header("allow") == "GET, HEAD, POST");
  CHECK(s.get("/v1/completions").header("allow") == "POST");
  CHECK(s.post("/healthz").header("allow") == "GET, HEAD");
}

TEST_CASE("a body that is compressed is refused and its type does not matter", "[http]") {
  served s;
  s.trees.at_once = true;
  CHECK(told_error(s.post("/v1/trees", solvable.dump(), "Content-Encoding: gzip\r\n"))
        == "415 unsupported_encoding Content-Encoding");
  CHECK(s.post("/v1/trees", solvable.dump(), "Content-Encoding: identity\r\n").status == 200);
  CHECK(s.post("/v1/trees", solvable.dump(), "Content-Type: application/x-www-form-urlencoded\r\n")
            .status
        == 200);
}

TEST_CASE("a method that HTTP does not have is not implemented", "[http]") {
  const served s;
  CHECK(told_error(ask(s.server.port(), "FOO", "/v1/trees")) == "501 not_implemented");
}

/// As the daemon makes them: no other name gets into the log.
const std::string some_id = "01J9ZC3V7R2M8Q5T4W6X0Y1B3D";

TEST_CASE("an exception is one 500 and one line in the log", "[http]") {
  std::mutex mutex;
  strings lines;
  auto options = on_any_port();
  options.log = [&](http_level l, const std::string& text, const std::string& tree) {
    const std::lock_guard lock(mutex);
    if (l == http_level::error) lines.push_back(text + '|' + tree);
  };
  served s(options);
  s.trees.throws = true;
  CHECK(told_error(s.get("/v1/trees/" + some_id)) == "500 internal");
  s.trees.throws = false;
  CHECK(s.get("/v1/trees").status == 200);
  const std::lock_guard lock(mutex);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("GET /v1/trees/" + some_id + " 500 in "));
  CHECK(lines[0].ends_with(": the fake forest throws|" + some_id));
}

TEST_CASE("every request is one line in the log and tokens in URLs are none", "[http]") {
  std::mutex mutex;
  strings lines;
  auto options = on_any_port();
  options.log = [&](http_level, const std::string& text, const std::string& tree) {
    const std::lock_guard lock(mutex);
    lines.push_back(text.substr(0, text.find(" in ")) + '|' + tree);
  };
  served s(options);
  s.get("/healthz?token=secret");
  s.post("/v1/trees", with(solvable, "wait", false).dump());
  s.post("/v1/trees", "{");
  for (const auto& id : {some_id, std::string("T1%0aforged")}) s.get("/v1/trees/" + id);
  const std::lock_guard lock(mutex);
  CHECK(lines
        == strings{"GET /healthz 200|", "POST /v1/trees 202|", "POST /v1/trees 400|",
                   "GET /v1/trees/" + some_id + " 404|" + some_id,
                   "GET /v1/trees/T1%0aforged 404|"});
}

TEST_CASE("a refused request about a tree is logged with its tree", "[http]") {
  std::mutex mutex;
  strings trees;
  auto options = on_any_port();
  options.log = [&](http_level, const std::string&, const std::string& tree) {
    const std::lock_guard lock(mutex);
    trees.push_back(tree);
  };
  served s(options);
  const auto path = "/v1/trees/" + some_id;
  for (const auto* action : {"/cancel", "/pause", "/resume"})
    CHECK(s.post(path + action, "{").status == 400);
  for (const auto* look : {"?texts=x", "/threads?limit=0", "/events?x=1"})
    CHECK(s.get(path + look).status == 400);
  const std::lock_guard lock(mutex);
  CHECK(trees == strings(6, some_id));
}

TEST_CASE("only what the daemon itself fails at is told to whoever did not ask", "[http]") {
  std::mutex mutex;
  std::map<int, std::set<http_level>> levels;
  auto options = on_any_port();
  options.log = [&](http_level l, const std::string& text, const std::string&) {
    const std::lock_guard lock(mutex);
    levels[text.starts_with("GET ") ? std::stoi(text.substr(text.find(' ', 4))) : 0].insert(l);
  };
  served s(options);
  const auto refuse = [&](refusal::kind why, const char* path) {
    s.trees.refuse = refusal{why, "no", {}};
    return s.get(path).status;
  };
  CHECK(s.get("/v1/trees").status == 200);
  CHECK(s.get("/v1/trees?limit=0").status == 400);
  CHECK(s.get("/v1/trees/A").status == 404);
  CHECK(refuse(refusal::kind::conflict, "/v1/trees") == 409);
  CHECK(refuse(refusal::kind::full, "/v1/trees") == 429);
  CHECK(refuse(refusal::kind::unavailable, "/readyz") == 503);
  auto client = s.connect();
  client.send("GET / HTTP/1.1\r\nHost localhost\r\n\r\n"); // not read: 0
  CHECK(read_answer(client).status == 400);
  {
    const std::lock_guard lock(mutex);
    for (const int status : {0, 200, 400, 404, 409, 429, 503}) {
      INFO(status);
      CHECK(levels[status] == std::set{http_level::debug});
    }
    levels.clear();
  }
  CHECK(refuse(refusal::kind::unavailable, "/v1/trees") == 503);
  CHECK(refuse(refusal::kind::damaged, "/v1/trees") == 500);
  const std::lock_guard lock(mutex);
  CHECK(levels[503] == std::set{http_level::info});
  CHECK(levels[500] == std::set{http_level::error});
}

TEST_CASE("an answer that is forgotten is a 503", "[http]") {
  served s;
  s.trees.forgets = true;
  CHECK(told_error(s.get("/v1/trees/A")) == "503 unavailable");
}

TEST_CASE("an address that is none or taken or open to all is refused", "[http]") {
  fake_forest trees;
  auto options = on_any_port();
  for (const auto* address : {"0.0.0.0", "::", "192.0.2.1", "example.org", ""}) {
    INFO(address);
    options.address = address;
    CHECK_THROWS_AS(http_server(trees, options), bad_usage);
  }
  options.address = "127.0.0.1";
  const http_server first(trees, options);
  options.port = first.port();
  CHECK_THROWS_AS(http_server(trees, options), bad_environment);
}

TEST_CASE("with a token the server may listen everywhere", "[http]") {
  auto options = on_any_port();
  options.address = "0.0.0.0";
  options.token = "open sesame";
  const served s(options);
  CHECK(s.get("/v1/trees", "Authorization: Bearer open sesame\r\n").status == 200);
  CHECK(s.server.url() == "http://0.0.0.0:" + std::to_string(s.server.port()));
}

TEST_CASE("a server that stops answers whoever waits and cancels nothing", "[http]") {
  served s;
  auto waiting = s.connect();
  waiting.send(request_text("POST", "/v1/trees", solvable.dump()));
  s.trees.wait_for_tree();
  s.trees.put(fake_forest::running_tree("A"));
  event_reader stream(s, "/v1/trees/A/events");
  s.server.stop();
  const auto told = read_answer(waiting);
  CHECK(told_error(told) == "503 unavailable");
  CHECK(told.body.find("tree T1 is kept and goes on") != told.body.npos);
  CHECK(told.header("retry-after") == "1");
  while (stream.next()) {
  }
  s.trees.end("T1"); // nobody waits any more
  CHECK(s.trees.acted.empty());
  CHECK_THROWS(s.connect());
}

TEST_CASE("many clients at a time are all served", "[http]") {
  served s;
  s.trees.at_once = true;
  s.trees.now = busy_status();
  std::atomic<int> served_right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c)
    clients.emplace_back([&] {
      auto client = s.connect();
      for (int i = 0; i < 40; ++i) {
        client.send(request_text("POST", "/v1/trees", solvable.dump()));
        const auto made = read_answer(client);
        client.send(
            request_text("GET", "/v1/trees/" + json::parse(made.body).at("id").get<std::string>()));
        served_right += made.status == 200 && read_answer(client).status == 200;
      }
    });
  for (auto& client : clients) client.join();
  CHECK(served_right == 8 * 40);
}

} // namespace
} // namespace banyan
