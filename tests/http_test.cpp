#include "apps/failure.hpp"
#include "apps/serving/views.hpp"
#include "tests/http_cases.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

// ---- new trees

TEST_CASE("who waits gets the finished tree", "[http]") {
  served s;
  s.trees.at_once = true;
  const auto answer = s.post("/v1/trees", solvable.dump());
  REQUIRE(answer.status == 200);
  CHECK(answer.header("content-type") == "application/json");
  const auto t = json::parse(answer.body);
  CHECK(t.at("id") == "T1");
  CHECK(t.at("state") == "done");
  CHECK(t.at("outcome").at("solved") == true);
  CHECK(t.at("threads")[0].at("text") == "Moving to Node #0\nso far\n");
  CHECK(t.at("threads")[0].at("solution") == "path\n");
  CHECK(s.trees.submitted.at(0).problem == problem{{5, 50, 79, 27}, 62});
}

TEST_CASE("a tree that samples without a seed is another one every time", "[http]") {
  served s;
  s.trees.at_once = true;
  const auto seed_of = [&](const json& sampling) {
    s.post("/v1/trees", with(solvable, "sampling", sampling).dump());
    return s.trees.submitted.back().sampling.seed;
  };
  const auto first = seed_of({{"temperature", 1}});
  CHECK(first != seed_of({{"temperature", 1}}));
  CHECK(first < std::uint64_t{1} << 53);
  CHECK(seed_of({{"temperature", 1}, {"seed", 0}}) == 0);
  CHECK(seed_of({{"temperature", 1}, {"seed", 7}}) == 7);
  CHECK(seed_of({{"temperature", 0}}) == 0);
  CHECK(seed_of({}) == 0);
}

TEST_CASE("a tree is answered when it ends and not before", "[http]") {
  served s;
  auto client = s.connect();
  client.send(request_text("POST", "/v1/trees", solvable.dump()));
  const auto id = s.trees.wait_for_tree();
  CHECK_FALSE(client.readable(50));
  s.trees.end(id);
  CHECK(read_answer(client).status == 200);
}

TEST_CASE("who does not wait gets an id and a place", "[http]") {
  served s;
  const auto answer = s.post("/v1/trees", with(solvable, "wait", false).dump());
  CHECK(answer.status == 202);
  CHECK(json::parse(answer.body) == json{{"id", "T1"}});
  CHECK(answer.header("location") == "/v1/trees/T1");
  CHECK(s.get(answer.header("location")).status == 200);
}

TEST_CASE("a tree whose client leaves is cancelled", "[http]") {
  served s;
  {
    auto client = s.connect();
    client.send(request_text("POST", "/v1/trees", solvable.dump()));
    s.trees.wait_for_tree();
  }
  s.trees.wait_until([&] { return s.trees.acted == strings{"cancel T1 /"}; });
}

TEST_CASE("a tree that is to stay survives its client", "[http]") {
  served s;
  {
    auto client = s.connect();
    client.send(request_text("POST", "/v1/trees", with(solvable, "stay", true).dump()));
    s.trees.wait_for_tree();
  }
  {
    auto other = s.connect(); // its client leaves after the first one: both are seen in that order
    other.send(request_text("POST", "/v1/trees", solvable.dump()));
    s.trees.wait_for_tree(2);
  }
  s.trees.wait_until([&] { return !s.trees.acted.empty(); });
  CHECK(s.trees.acted == strings{"cancel T2 /"});
  CHECK(s.trees.phase_of("T1") == tree_phase::running);
}

TEST_CASE("a tree that ended is not cancelled when its client leaves", "[http]") {
  served s;
  s.trees.at_once = true;
  CHECK(s.post("/v1/trees", solvable.dump()).status == 200);
  s.trees.at_once = false;
  {
    auto other = s.connect();
    other.send(request_text("POST", "/v1/trees", solvable.dump()));
    s.trees.wait_for_tree(2);
  }
  s.trees.wait_until([&] { return !s.trees.acted.empty(); });
  CHECK(s.trees.acted == strings{"cancel T2 /"});
}

TEST_CASE("a request for a tree that makes no sense names the field", "[http]") {
  served s;
  CHECK(told_error(s.post("/v1/trees", R"({"problem": {"numbers": [1, 2], "target": -1}})"))
        == "400 bad_request problem.target");
  CHECK(told_error(s.post("/v1/trees", "{")) == "400 bad_request");
  CHECK(told_error(s.post("/v1/trees")) == "400 bad_request");
  CHECK(told_error(s.post("/v1/trees?wait=false", solvable.dump())) == "400 bad_request wait");
  CHECK(s.trees.submitted.empty());
}

TEST_CASE("refusals become statuses", "[http]") {
  served s;
  using kind = refusal::kind;
  for (const auto& [why, error] :
       std::vector<std::pair<kind, std::string>>{{kind::bad_request, "400 bad_request problem"},
                                                 {kind::not_found, "404 not_found problem"},
                                                 {kind::conflict, "409 conflict problem"},
                                                 {kind::full, "429 full problem"},
                                                 {kind::unavailable, "503 unavailable problem"},
                                                 {kind::damaged, "500 damaged_tree problem"},
                                                 {kind::internal, "500 internal problem"}}) {
    s.trees.refuse = refusal{why, "the queue: it is full; try again", "problem", 7};
    for (const bool wait : {true, false}) {
      const auto answer = s.post("/v1/trees", with(solvable, "wait", wait).dump());
      CHECK(told_error(answer) == error);
      const bool later = answer.status == 429 || answer.status == 503;
      CHECK(answer.header("retry-after") == (later ? "7" : ""));
    }
  }
}

// ---- lists

TEST_CASE("trees are listed newest first and page by page", "[http]") {
  served s;
  put_three(s.trees);
  const auto all = s.get_json("/v1/trees");
  CHECK(ids_of(all) == strings{"C", "B", "A"});
  CHECK(all.at("next") == nullptr);
  const auto page = s.get_json("/v1/trees?limit=2");
  CHECK(ids_of(page) == strings{"C", "B"});
  CHECK(page.at("next") == long_id('B'));
  const auto rest = s.get_json("/v1/trees?limit=2&after=" + long_id('B'));
  CHECK(ids_of(rest) == strings{"A"});
  CHECK(rest.at("next") == nullptr);
  CHECK_FALSE(all.at("trees")[0].at("threads")[0].contains("text"));
  CHECK_FALSE(all.at("trees")[0].at("threads")[0].contains("solution"));
}

TEST_CASE("a page behind a tree that nobody knows is refused", "[http]") {
  served s;
  put_three(s.trees);
  CHECK(told_error(s.get("/v1/trees?after=" + long_id('X'))) == "400 bad_request after");
}

TEST_CASE("every filter of the list holds", "[http]") {
  served s;
  put_three(s.trees);
  const auto listed = [&](const std::string& query) {
    return ids_of(s.get_json("/v1/trees?" + query));
  };
  CHECK(listed("state=running") == strings{"C", "B"});
  CHECK(listed("state=done,queued") == strings{"A"});
  CHECK(listed("state=done&state=running") == strings{"C", "B", "A"});
  CHECK(listed("label=run=a") == strings{"B", "A"});
  CHECK(listed("label=run%3Da&label=who=me") == strings{"A"});
  CHECK(listed("label=run=b&label=run=a").empty());
  CHECK(listed("label=run=a&label=run=a") == strings{"B", "A"});
  CHECK(listed("solved=true") == strings{"A"});
  CHECK(listed("solved=false") == strings{"C", "B"});
  CHECK(listed("task=countdown") == strings{"C", "B", "A"});
  CHECK(listed("task=chess").empty());
  CHECK(listed("created_after=2") == strings{"C"});
  CHECK(listed("created_before=1970-01-01T00:00:02Z") == strings{"A"});
  CHECK(listed("created_before=1970-01-01T00:00:00Z").empty());
  CHECK(listed("created_before=0").empty());
}

TEST_CASE("a list's parameters are held to their forms", "[http]") {
  served s;
  for (const auto* parameter :
       {"state=over", "label=run", "label==a", "solved=1", "created_after=today", "after=zzz",
        "after=01m84cskda0vypfz62rvzem7rt", "limit=0", "limit=1001", "limit=x", "page=2"}) {
    INFO(parameter);
    const std::string name(parameter, std::string_view(parameter).find('='));
    CHECK(told_error(s.get(std::string("/v1/trees?") + parameter)) == "400 bad_request " + name);
  }
}

TEST_CASE("a list's parameters without a value are not there", "[http]") {
  served s;
  s.trees.put(finished_tree("A", 1795339800123));
  const auto all = s.get("/v1/trees?state=&label=&solved=&created_after=&limit=&after=&task=");
  CHECK(all.status == 200);
  CHECK(json::parse(all.body).at("trees").size() == 1);
}

// ---- one tree

TEST_CASE("a tree is shown as docs/interfaces.md has it", "[http]") {
  served s;
  s.trees.put(finished_tree("A", 1795339800123));
  const auto t = s.get_json("/v1/trees/A");
  CHECK(keys_of(t)
        == strings{"id", "task", "state", "problem", "prompt", "labels", "created", "finished",
                   "outcome", "failure", "weights_epoch", "seed", "usage", "threads",
                   "threads_next"});
  CHECK(keys_of(t.at("threads")[0])
        == strings{"path", "parent", "state", "since", "waiting_for", "pool", "node", "depth",
                   "prompt_tokens", "generated_tokens", "rounds", "failure", "history", "text",
                   "solution"});
  CHECK(t.at("created") == "2026-11-22T09:30:00.123Z");
  CHECK(t.at("threads_next") == nullptr);
  CHECK(t.at("threads")[0].at("history")[0]
        == json{{"state", "queued"}, {"at", "2026-11-22T09:30:00.123Z"}});
}

TEST_CASE("a tree without texts has none", "[http]") {
  served s;
  s.trees.put(finished_tree("A", 1000));
  CHECK_FALSE(s.get_json("/v1/trees/A?texts=false").at("threads")[0].contains("text"));
  CHECK(told_error(s.get("/v1/trees/A?texts=no")) == "400 bad_request texts");
}

TEST_CASE("a large tree is shown a thousand threads at a time", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  for (int i = 0; i < 1500; ++i) t.add(child_path("/", std::uint32_t(i)));
  s.trees.put(t);
  const auto first = s.get_json("/v1/trees/A");
  CHECK(first.at("threads").size() == 1000);
  CHECK(first.at("threads_next") == "/998");
  const auto rest = s.get_json("/v1/trees/A?threads_after=/998");
  CHECK(rest.at("threads").size() == 501);
  CHECK(rest.at("threads")[0].at("path") == "/999");
  CHECK(rest.at("threads_next") == nullptr);
  CHECK(told_error(s.get("/v1/trees/A?threads_after=/x")) == "400 bad_request threads_after");
  const auto listed = s.get_json("/v1/trees").at("trees")[0];
  CHECK(listed.at("threads").size() == 100);
  CHECK(listed.at("threads_next") == "/98");
}

TEST_CASE("a tree that is none is not found", "[http]") {
  served s;
  for (const auto* path : {"/v1/trees/X", "/v1/trees/X/threads", "/v1/trees/X/threads?path=/",
                           "/v1/trees/X/events", "/v1/trees/%2e%2e"})
    CHECK(told_error(s.get(path)) == "404 not_found");
  for (const auto* path : {"/v1/trees/X/cancel", "/v1/trees/X/pause", "/v1/trees/X/resume"})
    CHECK(told_error(s.post(path)) == "404 not_found");
}

TEST_CASE("a tree's threads are listed without texts", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  for (int i = 0; i < 5; ++i) t.add(child_path("/", std::uint32_t(i)));
  s.trees.put(t);
  const auto page = s.get_json("/v1/trees/A/threads?limit=4");
  CHECK(keys_of(page) == strings{"threads", "next"});
  CHECK(page.at("threads").size() == 4);
  CHECK(page.at("next") == "/2");
  CHECK_FALSE(page.at("threads")[0].contains("text"));
  const auto rest = s.get_json("/v1/trees/A/threads?limit=4&after=/2");
  CHECK(rest.at("threads").size() == 2);
  CHECK(rest.at("next") == nullptr);
  CHECK(told_error(s.get("/v1/trees/A/threads?after=/9")) == "400 bad_request after");
}

TEST_CASE("one thread is shown with its text and cache and budget", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  const auto thread = s.get_json("/v1/trees/A/threads?path=/");
  CHECK(thread.at("text") == "Moving to Node #0\nso far\n");
  CHECK(thread.at("live") == true);
  CHECK(thread.at("cache") == json{{"blocks", 3}, {"leased", true}});
  CHECK(thread.at("budget_left") == json{{"tokens", nullptr}, {"rounds", 15}, {"seconds", 12.5}});
  CHECK(thread_detail({{}, true, 0, false, 0, 0, 0}).at("budget_left").is_null()); // not begun
  CHECK(thread_detail({{}, false, 0, false, 0, 0, 0}).at("budget_left").is_null());
  CHECK(told_error(s.get("/v1/trees/A/threads?path=/7")) == "404 not_found");
  CHECK(told_error(s.get("/v1/trees/A/threads?path=0")) == "400 bad_request path");
}

TEST_CASE("actions reach the tree and the thread", "[http]") {
  served s;
  s.trees.put(fake_forest::running_tree("A"));
  const auto paused = s.post("/v1/trees/A/pause");
  CHECK(paused.status == 200);
  CHECK(json::parse(paused.body).at("state") == "paused");
  CHECK_FALSE(json::parse(paused.body).at("threads")[0].contains("text"));
  CHECK(s.post("/v1/trees/A/resume", R"({"thread": "/0/3"})").status == 200);
  CHECK(json::parse(s.post("/v1/trees/A/cancel", "{}").body).at("state") == "cancelled");
  CHECK(s.trees.acted == strings{"pause A /", "resume A /0/3", "cancel A /"});
  CHECK(told_error(s.post("/v1/trees/A/cancel")) == "409 conflict");
  CHECK(told_error(s.post("/v1/trees/A/pause", R"({"thread": 1})")) == "400 bad_request thread");
}

TEST_CASE("what a model writes need not be text", "[http]") {
  served s;
  auto t = fake_forest::running_tree("A");
  t.threads[0].segments[1].text = "\xff\xfe\"\\\x01\n";
  s.trees.put(t);
  const auto shown = s.get_json("/v1/trees/A");
  CHECK(shown.at("threads")[0].at("text").get<std::string>().ends_with("\"\\\x01\n"));
}

} // namespace
} // namespace banyan
