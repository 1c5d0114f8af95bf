#include "apps/client.hpp"
#include "apps/keyboard.hpp"
#include "apps/table.hpp"
#include "apps/terminal.hpp"
#include "apps/time_text.hpp"
#include "apps/tree_mirror.hpp"
#include "apps/tree_query.hpp"
#include "apps/tree_table.hpp"

#include <climits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

using json = client::json;
using texts = std::vector<std::string>;

// ---- streams of events

/// "id|name|data" of each event, of a stream that arrives so many bytes at a time.
texts events_of(const std::string& stream, std::size_t at_a_time) {
  texts seen;
  event_reader reader;
  for (std::size_t i = 0; i < stream.size(); i += at_a_time)
    reader.feed(stream.substr(i, at_a_time), [&seen](const server_event& e) {
      seen.push_back(e.id + "|" + e.name + "|" + e.data);
    });
  return seen;
}

TEST_CASE("events are the same however their bytes arrive", "[apps]") {
  const std::string stream = ": a comment\n\nid: 1\nevent: text\ndata: a\ndata:b\n\n"
                             "event: empty\n\nid: 2\r\nevent: done\r\ndata:  c\r\n\r\n"
                             "data: last\r\rdata: cut off";
  const texts expected{"1|text|a\nb", "2|done| c", "||last"};
  for (const std::size_t n : {1u, 2u, 3u, 7u, 1000u}) CHECK(events_of(stream, n) == expected);
}

// ---- addresses

TEST_CASE("what users give becomes one part of an address", "[apps]") {
  CHECK(url_escaped("a/b?c#d e") == "a%2Fb%3Fc%23d%20e");
  CHECK(tree_path("01J9", "/events") == "/v1/trees/01J9/events");
  for (const auto* id : {"", "..", "a/b", "ä"}) CHECK_THROWS_AS(tree_path(id), bad_usage);
  CHECK(query({{"path", "/0"}, {"after", ""}, {"label", "a=b&c"}}) == "?path=%2F0&label=a%3Db%26c");
  CHECK(query({{"after", ""}}).empty());
}

TEST_CASE("what is no address of a daemon is refused before anything is sent", "[apps]") {
  for (const std::string url : {"", "ftp://localhost", "http://", "http://a b", "http://x?y=z"}) {
    client_options o;
    o.url = url;
    CHECK_THROWS_AS(client(o), bad_usage);
  }
  client_options o;
  o.url = "localhost:1/daemon/";
  CHECK(client(o).url() == "http://localhost:1/daemon");
}

// ---- keys

/// "up down x escape" for what a terminal sends, byte by byte.
std::string keys_of(const std::string& bytes) {
  constexpr const char* names[]{"other", "up",  "down",  "page_up", "page_down",
                                "home",  "end", "enter", "escape"};
  key_reader reader;
  std::string seen;
  const auto take = [&](bool at_rest) {
    while (const auto k = reader.next(at_rest))
      seen += (seen.empty() ? "" : " ")
              + (k->letter ? std::string(1, k->letter) : names[static_cast<int>(k->what)]);
  };
  for (const char byte : bytes) {
    reader.feed({&byte, 1});
    take(false);
  }
  take(true);
  return seen;
}

TEST_CASE("escape sequences become keys", "[apps]") {
  CHECK(keys_of("\033[A\033[B\033OA\033[5~\033[6~\033[H\033[4~\rq")
        == "up down up page_up page_down home end enter q");
  CHECK(keys_of("\033[1;5Cq") == "other q");
  CHECK(keys_of("\033") == "escape");
  CHECK(keys_of("\033q") == "escape q");
}

// ---- what is printed

TEST_CASE("control characters of others do not reach the terminal", "[apps]") {
  CHECK(printable("a\033[2Jb\n\x7f\tä\xc2\x9b") == "a?[2Jb ? ä?");
  CHECK(printable("a\x9b"
                  "2J \xe2\x80 \xf4\x8f\xbf\xbf")
        == "a?2J ?? \xf4\x8f\xbf\xbf"); // no UTF-8
  CHECK(printable("a\u202eb\u2066c\u2069\u202a\u2026\u2065")
        == "a?b?c??\u2026\u2065"); // run backwards
}

TEST_CASE("a path is one word of a shell whatever is in it", "[apps]") {
  CHECK(shell_word("runs/rl-2.1") == "runs/rl-2.1");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("my runs/$(rl)") == "'my runs/$(rl)'");
  CHECK(shell_word("it's") == "'it'\\''s'");
}

TEST_CASE("columns are as wide as their widest entry", "[apps]") {
  table t({{"NAME"}, {"N", true}, {"X"}});
  t.add({"ä", "1", "b\n"});
  t.add({"long", "1000", ""});
  CHECK(t.lines() == texts{"NAME     N  X", "ä        1  b", "long  1000"});
}

json listed(const std::string& state) {
  return {{"id", "01J9"},
          {"state", state},
          {"problem", {{"numbers", {25, 7}}, {"target", 32}}},
          {"labels", {{"run", "a"}, {"user", "b"}}},
          {"created", "2026-11-23T09:30:00.000Z"},
          {"finished", nullptr},
          {"outcome", nullptr},
          {"failure", nullptr},
          {"usage", {{"threads", 7}, {"generated_tokens", 1234}, {"wall_ms", 0}}}};
}

std::string row_of(const json& tree, int characters = INT_MAX) {
  return tree_table({{read_tree(tree), read_usage(tree)}}, characters).at(1);
}

TEST_CASE("a listed tree shows the time that it ran and not how long it has been there", "[apps]") {
  auto t = listed("queued");
  CHECK(row_of(t) == "01J9  queued  25, 7 -> 32        7    1234     -  -       run=a,user=b");
  t["state"] = "running";
  t["usage"]["wall_ms"] = 12300;
  CHECK(row_of(t) == "01J9  running  25, 7 -> 32        7    1234  12.3 s  -       run=a,user=b");
  t["usage"]["wall_ms"] = 3662000;
  CHECK(row_of(t).find("  1:01:02  ") != std::string::npos);
  t["state"] = "failed";
  t["finished"] = "2026-11-23T09:30:01.000Z";
  t["failure"] = "deadline";
  t["usage"]["wall_ms"] = 214.4;
  CHECK(row_of(t).find("  214 ms  no: deadline  ") != std::string::npos);
}

TEST_CASE("what has no room in a table goes in the order of its worth", "[apps]") {
  auto t = listed("running");
  t["id"] = "01J9ZC3V7R2M8Q5T4W6X0Y1B3D";
  t["usage"]["wall_ms"] = 400;
  const auto whole = row_of(t);
  CHECK(row_of(t, static_cast<int>(whole.size())) == whole);
  CHECK(row_of(t, 76) == "..V7R2M8Q5T4W6X0Y1B3D  running  25, 7 -> 32        7    1234  400 ms  -");
  CHECK(row_of(t, 60) == "..T4W6X0Y1B3D  running  25, 7 -> 32        7    1234  400 ms");
  CHECK(row_of(t, 45) == "..W6X0Y1B3D  running        7    1234  400 ms");
  CHECK(row_of(t, 35) == "..6X0Y1B3D        7    1234  400 ms");
  CHECK(row_of(t, 10) == "..0Y1B3D        7    1234  400 ms");
}

// ---- trees of a daemon

TEST_CASE("a tree is read back from its JSON", "[apps]") {
  auto j = listed("done");
  j["outcome"] = {
      {"solved", true}, {"claimed", true}, {"operations", {"25+7=32"}}, {"solution", "path\n"}};
  j["seed"] = 18446744073709551615u;
  j["threads"] = json::parse(R"([{"path": "/", "parent": null, "state": "done", "waiting_for": [],
    "since": "2026-11-23T09:30:00.250Z", "pool": "cpu:0", "node": "local", "depth": 0,
    "prompt_tokens": 40, "generated_tokens": 3, "rounds": 1, "failure": null, "text": "all",
    "solution": "path\n", "history": [{"state": "decoding", "at": "2026-11-23T09:30:00.000Z"}]},
    {"path": "/0", "state": "failed", "failure": "no_solution", "text": 7, "pool": null}])");
  const auto t = read_tree(j);
  CHECK(t.id == "01J9");
  CHECK(t.phase == tree_phase::done);
  CHECK(t.problem == problem{{25, 7}, 32});
  CHECK(t.labels.at("run") == "a");
  CHECK(t.outcome == outcome{true, true, {"25+7=32"}, "path\n"});
  CHECK(t.seed == 18446744073709551615u);
  REQUIRE(t.threads.size() == 2);
  CHECK(t.threads[0].text() == "all");
  CHECK(t.threads[0].generated_tokens() == 3);
  CHECK(t.threads[0].solution == "path\n");
  CHECK(t.threads[0].since_ms - t.created_ms == 250);
  REQUIRE(t.threads[0].history.size() == 1);
  CHECK(t.threads[0].history[0].phase == thread_phase::decoding);
  CHECK(t.threads[1].failure == errc::no_solution);
  CHECK_FALSE(t.threads[1].solution);
}

TEST_CASE("events bring a tree up to date", "[apps]") {
  tree_mirror tree("01J9");
  const auto tell = [&tree](const char* name, const char* data) {
    tree.apply(name, json::parse(data));
  };
  tell("tree",
       R"({"thread": "/", "state": "running", "problem": {"numbers": [25, 7], "target": 32}})");
  tell("thread",
       R"({"thread": "/", "state": "decoding", "tokens": 0, "depth": 0, "failure": null})");
  tell("text", R"({"thread": "/", "position": 0, "text": "think <spawn>", "tokens": 4})");
  tell(
      "spawn",
      R"({"thread": "/", "position": 6, "text": "<spawn 2>", "children": ["/0", "/1"], "tokens": 5})");
  tell("thread", R"({"thread": "/", "state": "waiting", "tokens": 5})");
  CHECK(tree.text_of("/") == "think <spawn 2>");
  CHECK(tree.now().tokens.at("/") == 5);
  CHECK(tree.now().value.threads.size() == 3);
  CHECK(tree.now().value.find("/1")->depth == 1);
  tell("thread", R"({"thread": "/0", "state": "done", "tokens": 9, "failure": null})");
  CHECK(tree.now().value.root().waiting_for == texts{"/1"});
  CHECK(tree.now().value.find("/0")->solution);
  tell("join", R"({"thread": "/", "position": 6, "text": "<joined>"})");
  CHECK(tree.text_of("/") == "think <joined>");
  CHECK(tree.now().value.root().waiting_for.empty());
  tell("done", R"({"thread": "/", "state": "done", "failure": null, "outcome": {"solved": true}})");
  CHECK(tree.now().value.phase == tree_phase::done);
  CHECK(tree.now().value.outcome.solved);
}

TEST_CASE("a snapshot after a break leaves no trace of what was there", "[apps]") {
  tree_mirror tree("01J9");
  tree.apply("text", {{"thread", "/"}, {"position", 0}, {"text", "a long text of before"}});
  tree.apply("text", {{"thread", "/"}, {"position", 0}, {"text", "short"}});
  CHECK(tree.text_of("/") == "short");
}

TEST_CASE("events that make no sense change nothing", "[apps]") {
  tree_mirror tree("01J9");
  tree.apply("text", {{"thread", "/"}, {"position", 99}, {"text", "a"}});
  tree.apply("text", {{"thread", "/"}, {"position", -1}, {"text", 7}});
  tree.apply("thread", json::array());
  tree.apply("sung", {{"thread", "/"}});
  CHECK(tree.text_of("/") == "a");
  CHECK(tree.now().value.threads.size() == 1);
}

// ---- times

TEST_CASE("a point in time is written in several ways", "[apps]") {
  const auto since = [](const char* text) {
    tree_query q;
    q.since = text;
    return q.filter(option_list("export", "", "", ""), 0).created_from_ms;
  };
  CHECK(since("2026-11-23T09:30:00.123Z") == 1795426200123);
  CHECK(since("2026-11-23T10:30:00+01:00") == 1795426200000);
  CHECK(since("2026-11-23") == 1795426200000 - (9 * 60 + 30) * 60000);
  CHECK(since("") == 0);
  for (const auto* wrong :
       {"now", "2026-11", "2026-02-30", "2026-11-23T09:30", "2026-11-23T25:00:00Z"})
    CHECK_THROWS_AS(since(wrong), bad_usage);
}

TEST_CASE("a span of time counts back from now", "[apps]") {
  tree_query q;
  option_list list("export", "", "", "");
  declare(list, q);
  declare_times(list, q);
  list.parse(texts{"--since", "2h", "--until", "1.5m", "--label", "a=b=c", "--solved=false",
                   "--state", "done", "--state", "failed,paused"});
  const auto f = q.filter(list, 10'000'000);
  CHECK(f.created_from_ms == 10'000'000 - 7'200'000);
  CHECK(f.created_before_ms == 10'000'000 - 90'000);
  CHECK(f.labels == std::multimap<std::string, std::string>{{"a", "b=c"}});
  CHECK(f.solved == false);
  CHECK(f.states == std::vector{tree_phase::done, tree_phase::failed, tree_phase::paused});
  for (const auto* wrong : {"h", "-2h", "2w", "yesterday"}) {
    tree_query bad;
    bad.since = wrong;
    CHECK_THROWS_AS(bad.filter(list, 0), bad_usage);
  }
}

} // namespace
} // namespace banyan
