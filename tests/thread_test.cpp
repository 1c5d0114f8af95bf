#include "tests/session_system.hpp"

#include <algorithm>

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// A second pool with the same model. Trees begin at the first.
struct two_pools : session_system {
  std::shared_ptr<pool_script> second_script = std::make_shared<pool_script>(*script);
  pool_actor second = sys.spawn(scripted_pool, second_script);

  two_pools() {
    script->lines = second_script->lines = {{"/", {texts::conclusion}}};
    pools = {{"scripted:0", pool}, {"scripted:1", second}};
    second_script->epoch = 8;
  }
  ~two_pools() {
    pools.clear();
    end(second);
  }

  /// Family 2 begins at pool 2 % 2 = 0.
  session_actor begin_at_first() { return spawn_session(sys, {reasoning(), 2, {}, false}); }
};

thread_actor actor_of(const pool_script& script, const std::string& path) {
  return caf::actor_cast<thread_actor>(script.askers.at(path));
}

// ---- what a pool is asked ----

TEST_CASE_METHOD(session_system, "a request tells everything that another pool would need",
                 "[actors]") {
  request.sampling = {.temperature = 0.5f, .top_k = 3, .seed = 11};
  request.budget.max_tokens = 5000;
  solve();
  const auto& first = script->requests.at(0);
  CHECK(first.family == 1);
  CHECK(first.thread == "/");
  CHECK(first.ids.front() == toy_bos);
  CHECK(script->codec.decode(first.ids) == texts::prompt);
  CHECK(first.sampling.temperature == 0.5f);
  CHECK(first.sampling.top_k == 3);
  CHECK(first.sampling.seed == 11);
  CHECK(first.max_tokens == 5000);
  CHECK(first.stop == std::vector<std::string>{"<End Calling Sub Searches>\n"});
  CHECK_FALSE(first.resumes_join);
}

TEST_CASE_METHOD(session_system, "only the first request after a join resumes it", "[actors]") {
  request.budget.max_tree_tokens = 10000; // in grants of 512 tokens: several requests a stretch
  solve();
  std::vector<bool> root;
  for (const auto& r : script->requests)
    if (r.thread == "/") root.push_back(r.resumes_join);
  CHECK(std::ranges::count(root, true) == 1);
  CHECK_FALSE(root.front());
}

TEST_CASE_METHOD(session_system, "sampled ids go back to the pool as they came", "[actors]") {
  solve();
  const auto& before = script->requests.at(0);
  const auto after = std::ranges::find_if(script->requests, &decode_request::resumes_join);
  REQUIRE(after != script->requests.end());
  auto expected = before.ids;
  for (const unsigned char c : texts::expansion) expected.push_back(c);
  REQUIRE(after->ids.size() > expected.size());
  CHECK(std::equal(expected.begin(), expected.end(), after->ids.begin()));
}

TEST_CASE("the tag of a join is banned where it is one token", "[actors]") {
  CHECK(banned_ids(toy_codec({"<Sub Searches>"})) == std::vector<std::int32_t>{first_phrase});
  CHECK(banned_ids(toy_codec({"<Sub Searches>\n", "<Sub"})).empty());
  CHECK(banned_ids(toy_codec()).empty());
  auto foreign = toy_codec();
  foreign.encode = [](std::string_view) -> std::vector<std::int32_t> {
    throw std::invalid_argument("no such character");
  };
  CHECK(banned_ids(foreign).empty());
}

TEST_CASE_METHOD(session_system, "threads ask for the ban of their vocabulary", "[actors]") {
  script->codec = toy_codec({"<Sub Searches>"});
  CHECK(solve().outcome.solved);
  CHECK(script->requests.at(0).ban == std::vector<std::int32_t>{first_phrase});
}

TEST_CASE_METHOD(session_system, "a thread gives its cache back when it ends", "[actors]") {
  solve();
  auto released = script->released;
  std::ranges::sort(released);
  CHECK(released == std::vector<std::string>{"/", "/0", "/1"});
  CHECK(script->cancelled.empty());
}

TEST_CASE_METHOD(session_system, "a thread that ended is pinned for a second at most", "[actors]") {
  request.join = {join_policy::kind::deadline, 1, 1e8};
  solve();
  advance(1s);
  CHECK_FALSE(caf::actor_cast<caf::strong_actor_ptr>(script->askers.at("/")));
}

TEST_CASE_METHOD(session_system,
                 "a thread looks at a join once a second however often it is paused", "[actors]") {
  request.join = {join_policy::kind::deadline, 1, 50.0};
  script->silent = {"/0", "/1"};
  auto session = begin();
  auto reply = self->request(session, caf::infinite, work());
  run();
  const auto due_soon = [this] {
    auto& clock = scheduler().clock();
    return std::distance(clock.schedule().begin(), clock.schedule().upper_bound(clock.now() + 1s));
  };
  advance(3s);
  const auto before = due_soon();
  for (int i = 0; i < 20; ++i)
    for (const auto action : {tree_action::pause, tree_action::resume})
      REQUIRE(ask<tree_status>(session, steer_request{action, "t", "/"}));
  advance(3s);
  CHECK(due_soon() == before);
  self->send(session, cancel_request{"t", "/"});
  run();
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).failure == errc::cancelled);
}

TEST_CASE_METHOD(session_system, "a waiting parent keeps its cache", "[actors]") {
  script->silent = {"/0"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  CHECK(script->released == std::vector<std::string>{"/1"});
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

// ---- pools that do not answer ----

TEST_CASE_METHOD(two_pools, "another pool goes on where a lost one stopped", "[actors]") {
  script->silent = {"/"};
  auto reply = self->request(begin_at_first(), caf::infinite, work());
  run();
  CHECK(script->requests.size() == 1);
  script->lost = true;
  break_silence();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.root().pool == "scripted:1");
  CHECK(t.weights_epoch == 8);
  CHECK(second_script->requests.at(0).ids == script->requests.at(0).ids);
}

TEST_CASE_METHOD(two_pools, "another pool decodes what one has no token for", "[actors]") {
  script->barren = {"/"};
  auto reply = self->request(begin_at_first(), caf::infinite, work());
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.root().pool == "scripted:1");
}

TEST_CASE_METHOD(session_system, "a thread that no pool has a token for fails alone", "[actors]") {
  script->barren = {"/1"};
  const auto t = solve();
  REQUIRE(t.threads.size() == 3);
  CHECK(t.find("/0")->failure == errc::none);
  CHECK(t.find("/1")->failure == errc::pool_lost);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(two_pools, "a dead pool is passed over", "[actors]") {
  end(pool);
  auto reply = self->request(begin_at_first(), caf::infinite, work());
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.outcome.solved);
  CHECK(t.root().pool == "scripted:1");
}

TEST_CASE_METHOD(two_pools, "a thread without any pool fails as pool lost", "[actors]") {
  end(pool);
  end(second);
  auto reply = self->request(begin_at_first(), caf::infinite, work());
  run();
  CHECK(finished(take<finished_tree>(reply)).failure == errc::pool_lost);
}

TEST_CASE_METHOD(session_system, "all threads of a pinned tree ask for its weights", "[actors]") {
  for (const auto epoch : {std::optional<std::uint32_t>(7), std::optional<std::uint32_t>()}) {
    request.weights_epoch = epoch;
    script->requests.clear();
    CHECK(solve().outcome.solved);
    CHECK(script->requests.size() == 4); // the root's two and one of each child
    for (const auto& asked : script->requests) CHECK(asked.weights_epoch == epoch);
  }
}

TEST_CASE_METHOD(two_pools, "a tree whose weights another pool has goes on there", "[actors]") {
  request.weights_epoch = 8;
  const auto t = solve();
  CHECK(t.outcome.solved);
  CHECK(t.weights_epoch == 8);
}

TEST_CASE_METHOD(two_pools, "a tree whose weights no pool has fails as pool lost", "[actors]") {
  request.weights_epoch = 3;
  CHECK(solve().failure == errc::pool_lost);
}

TEST_CASE_METHOD(session_system, "a node without pools fails its trees as pool lost", "[actors]") {
  pools.clear();
  CHECK(solve().failure == errc::pool_lost);
}

TEST_CASE_METHOD(session_system, "a full pool is asked again and again", "[actors]") {
  script->lines["/"] = {texts::conclusion};
  script->times_full = 3;
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  CHECK(script->requests.size() == 1);
  CHECK(board->snapshot().at(0).phase == thread_phase::queued);
  advance(10ms);
  CHECK(script->requests.size() == 2);
  advance(10ms); // the second pause is twice as long
  CHECK(script->requests.size() == 2);
  advance(10ms);
  CHECK(script->requests.size() == 3);
  advance(40ms);
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(session_system, "a pool that stays full costs a tree its deadline", "[actors]") {
  script->times_full = 1 << 20;
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  for (int i = 0; i < 60; ++i) advance(1s);
  CHECK(finished(take<finished_tree>(reply)).failure == errc::deadline);
  CHECK(script->requests.size() < 100);
}

TEST_CASE_METHOD(session_system, "a pool that answers nothing at all ends the thread", "[actors]") {
  script->max_context = 1; // no room for a single token
  CHECK(solve().failure == errc::context_full);
}

// ---- ends ----

TEST_CASE_METHOD(session_system, "a killed thread leaves nothing behind at its pool", "[actors]") {
  script->silent = {"/"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  CHECK(board->size() == 1);
  kill_thread("/");
  CHECK(board->size() == 0);
  CHECK(script->cancelled == std::vector<std::string>{"/"});
  CHECK(script->released == std::vector<std::string>{"/"});
  CHECK(finished(take<finished_tree>(reply)).failure == errc::child_lost);
}

TEST_CASE_METHOD(session_system, "a cancelled thread reports what it wrote", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  self->send(actor_of(*script, "/"), end_thread{});
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.failure == errc::cancelled);
  CHECK(t.root().segments.at(2).text == texts::spawn_two);
}

TEST_CASE_METHOD(session_system, "a prompt that cannot be encoded is a bad request", "[actors]") {
  auto options = reasoning();
  options.codec.encode = [](std::string_view) -> std::vector<std::int32_t> {
    throw std::invalid_argument("no such character");
  };
  auto answer = ask<finished_tree>(spawn_session(sys, {options, 1, {}, false}), work());
  CHECK(finished(std::move(answer)).failure == errc::bad_request);
}

TEST_CASE_METHOD(session_system, "an exception in a thread is a lost thread", "[actors]") {
  auto options = reasoning();
  options.codec.piece = [](std::int32_t) -> std::string { throw std::runtime_error("broken"); };
  auto answer = ask<finished_tree>(spawn_session(sys, {options, 1, {}, false}), work());
  CHECK(finished(std::move(answer)).failure == errc::child_lost);
}

// ---- looking inside ----

TEST_CASE_METHOD(session_system, "a thread shows its text while it waits", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  const auto now = ask<thread_status>(actor_of(*script, "/"), atom::status_v)->record;
  CHECK(now.phase == thread_phase::waiting);
  CHECK(now.waiting_for == std::vector<std::string>{"/0", "/1"});
  CHECK(now.text() == texts::prompt + texts::expansion + texts::spawn_two);
  CHECK(now.pool == "scripted:0");
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(session_system, "a watched thread shows what its pool told so far", "[actors]") {
  script->silent = {"/"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  const auto root = actor_of(*script, "/");
  self->send(root, decode_progress{{'E', 'x'}});
  self->send(root, decode_progress{{'p'}});
  run();
  CHECK(ask<thread_status>(root, atom::status_v)->record.text() == texts::prompt + "Exp");
  break_silence();
  const auto t = finished(take<finished_tree>(reply)); // what was told is not counted twice
  CHECK(t.root().segments.at(1).text == texts::expansion);
}

TEST_CASE_METHOD(session_system, "the board follows a thread through its phases", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  auto rows = board->snapshot_of("t");
  std::ranges::sort(rows, {}, &status_board::row::thread);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].phase == thread_phase::waiting);
  CHECK(rows[0].waiting_for == 2);
  CHECK(rows[0].tokens == (texts::expansion + texts::spawn_two).size());
  CHECK(rows[1].phase == thread_phase::decoding);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

} // namespace
} // namespace banyan
