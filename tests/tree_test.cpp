#include "solver/tree.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <set>

namespace banyan {
namespace {

segment given(segment_kind kind, std::string text = "") {
  return {.kind = kind, .text = std::move(text)};
}

segment sampled(segment_kind kind, std::size_t tokens, std::string text = "") {
  segment s{.kind = kind, .text = std::move(text)};
  s.ids.assign(tokens, 7);
  s.logprobs.assign(tokens, -0.5F);
  s.epochs.assign(tokens, 1);
  return s;
}

/// A thread that wrote `tokens` tokens and never spawned.
thread_record& add_leaf(tree& t, const std::string& path, std::uint32_t round, std::size_t tokens) {
  auto& leaf = t.add(path);
  leaf.round = round;
  leaf.segments = {given(segment_kind::prompt), sampled(segment_kind::written, tokens)};
  return leaf;
}

/// A thread that spawned once per number and wrote so many tokens from one stop to the next; a
/// spawn block has 2 tokens.
thread_record& add_parent(tree& t, const std::string& path, std::vector<std::size_t> tokens) {
  auto& parent = add_leaf(t, path, 0, tokens[0]);
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    parent.segments.push_back(sampled(segment_kind::spawn, 2));
    parent.segments.push_back(given(segment_kind::joined));
    parent.segments.push_back(sampled(segment_kind::written, tokens[i]));
  }
  parent.rounds = static_cast<std::uint32_t>(tokens.size() - 1);
  return parent;
}

std::uint64_t critical_path(const tree& t) { return t.usage().critical_path_tokens; }

TEST_CASE("paths of children are built and taken apart again", "[solver]") {
  CHECK(child_path("/", 0) == "/0");
  CHECK(child_path("/0", 3) == "/0/3");
  CHECK(child_path("/0", 4294967295U) == "/0/4294967295");
  tree t;
  CHECK(t.add("/").parent().empty());
  CHECK(t.add("/12").parent() == "/");
  CHECK(t.add("/12/3").parent() == "/12");
  CHECK(t.find("/12/3")->depth == 2);
  CHECK(t.find("/1") == nullptr);
}

TEST_CASE("every phase and kind has a name of its own", "[solver]") {
  std::set<std::string_view> names;
  for (int i = 0; i < 4; ++i) names.insert(to_string(static_cast<segment_kind>(i)));
  CHECK(names == std::set<std::string_view>{"prompt", "written", "spawn", "joined"});
  names.clear();
  for (int i = 0; i < 7; ++i) names.insert(to_string(static_cast<thread_phase>(i)));
  CHECK(names
        == std::set<std::string_view>{"queued", "decoding", "waiting", "paused", "done", "failed",
                                      "cancelled"});
  names.clear();
  for (int i = 0; i < 6; ++i) names.insert(to_string(static_cast<tree_phase>(i)));
  CHECK(
      names
      == std::set<std::string_view>{"queued", "running", "paused", "done", "failed", "cancelled"});
}

TEST_CASE("a thread's text leaves out only the spawn blocks that were answered", "[solver]") {
  thread_record t;
  t.segments = {given(segment_kind::prompt, "p "),         sampled(segment_kind::written, 1, "w "),
                sampled(segment_kind::spawn, 1, "spawn "), given(segment_kind::joined, "j "),
                sampled(segment_kind::written, 1, "v "),   sampled(segment_kind::spawn, 1, "open")};
  CHECK(t.text() == "p w j v open");
  CHECK(t.generated_tokens() == 4);
}

TEST_CASE("the critical path of a lone thread is what it wrote", "[solver]") {
  tree t;
  add_leaf(t, "/", 0, 30).prompt_tokens = 11;
  const auto u = t.usage();
  CHECK(u.threads == 1);
  CHECK(u.depth == 0);
  CHECK(u.prompt_tokens == 11);
  CHECK(u.generated_tokens == 30);
  CHECK(u.critical_path_tokens == 30);
}

TEST_CASE("each round costs its longest awaited child", "[solver]") {
  tree t;
  add_parent(t, "/", {10, 20, 30}); // 10 + 2 + 20 + 2 + 30 = 64
  add_leaf(t, "/0", 0, 100);
  add_leaf(t, "/1", 0, 40);
  add_leaf(t, "/2", 1, 5);
  add_leaf(t, "/3", 1, 7);
  add_leaf(t, "/4", 1, 1000).awaited = false;
  const auto u = t.usage();
  CHECK(u.critical_path_tokens == 64 + 100 + 7);
  CHECK(u.generated_tokens == 64 + 100 + 40 + 5 + 7 + 1000);
  CHECK(u.rounds == 2);
  CHECK(u.threads == 6);
}

TEST_CASE("the critical path goes through grandchildren", "[solver]") {
  tree t;
  add_parent(t, "/", {1, 1});        // 4
  add_leaf(t, "/0", 0, 50);          // 50
  add_parent(t, "/1", {10, 10, 10}); // 34, and 9 + 8 below it
  add_leaf(t, "/1/0", 0, 9);
  add_leaf(t, "/1/1", 1, 8);
  CHECK(critical_path(t) == 4 + 34 + 9 + 8);
  t.find("/1/0")->awaited = false; // 34 + 8 is now less than 50
  CHECK(critical_path(t) == 4 + 50);
  CHECK(t.usage().depth == 2);
  CHECK(t.usage().rounds == 3);
}

TEST_CASE("nothing below a child that was not awaited is on the critical path", "[solver]") {
  tree t;
  add_parent(t, "/", {1, 1});
  add_parent(t, "/0", {1, 1}).awaited = false;
  add_leaf(t, "/0/0", 0, 500);
  CHECK(critical_path(t) == 4);
}

TEST_CASE("what is below a thread that nobody waited for is wasted with it", "[solver]") {
  tree t;
  add_parent(t, "/", {1, 1});
  add_parent(t, "/0", {1, 1}).awaited = false; // 4
  add_leaf(t, "/0/0", 0, 500);
  add_leaf(t, "/1", 0, 30);
  CHECK(t.wasted_tokens() == 504);
  t.find("/1")->phase = thread_phase::cancelled;
  CHECK(t.wasted_tokens() == 534);
}

TEST_CASE("a context holds a spawn block until the join replaces it", "[solver]") {
  tree t;
  t.add("/").segments = {given(segment_kind::prompt, ""), sampled(segment_kind::written, 10),
                         sampled(segment_kind::spawn, 30), given(segment_kind::joined, ""),
                         sampled(segment_kind::written, 5)};
  t.threads[0].segments[3].ids.resize(20);
  CHECK(t.longest_context() == 40);
  t.threads[0].segments[4] = sampled(segment_kind::written, 11);
  CHECK(t.longest_context() == 41);
  t.add("/0").segments = {sampled(segment_kind::written, 50)};
  CHECK(t.longest_context() == 50);
  t.threads[1].segments.push_back(given(segment_kind::joined, ""));
  t.threads[1].segments[1].ids.resize(100); // found no room
  CHECK(t.longest_context() == 50);
}

TEST_CASE("an empty tree has used nothing", "[solver]") {
  CHECK(tree{}.usage().threads == 0);
  CHECK(tree{}.usage().critical_path_tokens == 0);
}

tree sound_tree() {
  tree t;
  add_parent(t, "/", {3, 4});
  add_leaf(t, "/0", 0, 5);
  add_leaf(t, "/1", 0, 6);
  add_leaf(t, "/1/0", 0, 6);
  return t;
}

TEST_CASE("a sound tree has nothing wrong at any moment of a thread's life", "[solver]") {
  auto t = sound_tree();
  CHECK(t.inconsistent() == std::nullopt);
  for (auto& segments = t.threads[0].segments; !segments.empty(); segments.pop_back())
    CHECK(t.inconsistent() == std::nullopt);
  auto& written = t.threads[1].segments[1];
  written.ids.clear(), written.logprobs.clear(), written.epochs.clear(); // a demonstration
  CHECK(t.inconsistent() == std::nullopt);
}

TEST_CASE("a tree finds each defect of its own", "[solver]") {
  const auto defect = [](const std::function<void(tree&)>& damage) {
    auto t = sound_tree();
    damage(t);
    return t.inconsistent().value_or("nothing");
  };
  using Catch::Contains;
  CHECK_THAT(defect([](tree& t) { t.threads.clear(); }), Contains("root"));
  CHECK_THAT(defect([](tree& t) { t.threads.erase(t.threads.begin()); }), Contains("root"));
  CHECK_THAT(defect([](tree& t) { t.threads[2].path = "/0"; }),
             Contains("/0: its path occurs twice"));
  CHECK_THAT(defect([](tree& t) { std::swap(t.threads[2], t.threads[3]); }),
             Contains("/1/0: its parent is not before it"));
  CHECK_THAT(defect([](tree& t) { t.threads[3].depth = 1; }), Contains("/1/0: depth 1"));
  for (const auto* path : {"", "0", "/01", "/-1", "/0/", "//0", "/x", "/4294967296", "/1 "})
    CHECK_THAT(defect([=](tree& t) { t.threads[1].path = path; }), Contains("not a path"));
  CHECK_THAT(defect([](tree& t) { t.threads[1].segments.erase(t.threads[1].segments.begin()); }),
             Contains("/0: segment 0 is of kind written instead of prompt"));
  CHECK_THAT(defect([](tree& t) { t.threads[0].segments[3].kind = segment_kind::written; }),
             Contains("/: segment 3 is of kind written instead of joined"));
  CHECK_THAT(defect([](tree& t) { t.threads[1].segments[1].logprobs.pop_back(); }),
             Contains("segment 1 has 4 logprobs for 5 sampled ids"));
  CHECK_THAT(defect([](tree& t) { t.threads[1].segments[1].epochs.clear(); }),
             Contains("segment 1 has 0 epochs for 5 sampled ids"));
  CHECK_THAT(defect([](tree& t) { t.threads[1].segments[1].ids.clear(); }),
             Contains("5 logprobs for 0"));
  CHECK_THAT(defect([](tree& t) { t.threads[1].segments[0].logprobs = {-1}; }),
             Contains("segment 0 has 1 logprobs for 0"));
}

} // namespace
TEST_CASE("a child refused by the budget does not count as a thread", "[solver]") {
  tree t;
  t.add("/").rounds = 1;
  auto& refused = t.add("/0");
  refused.phase = thread_phase::failed;
  refused.failure = errc::budget_spent;
  auto& spent = t.add("/1");
  spent.phase = thread_phase::failed;
  spent.failure = errc::budget_spent;
  spent.pool = "cpu:0"; // it ran until its tokens were used up
  CHECK(t.usage().threads == 2);
  CHECK(t.usage().depth == 1);
  t.threads.pop_back();
  CHECK(t.usage().threads == 1);
  CHECK(t.usage().depth == 0);
}

} // namespace banyan
