#include "actors/node.hpp"

#include "actors/status_board.hpp"
#include "tests/session_system.hpp"
#include "tests/stored_trees.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace banyan {
namespace {

using namespace std::chrono_literals;

struct node_system : session_system {
  std::shared_ptr<stored_trees> kept = std::make_shared<stored_trees>();
  std::vector<finished_tree>& stored = kept->finished;
  tree_store_actor store = sys.spawn(store_stub, kept);
  std::vector<std::string> lost; ///< trees, and why
  node_actor aut;

  node_system() {
    node_options options;
    options.reasoning = reasoning();
    options.pools = pools;
    options.store = store;
    options.max_running_trees = 2;
    options.news = [this](const tree_news& n) {
      if (n.what == tree_news::kind::lost) lost.push_back(n.id + ": " + n.why);
    };
    aut = spawn_node(sys, std::move(options));
  }

  ~node_system() {
    self->send(aut, atom::drain_v);
    run();
    aut = nullptr;
    end(store);
    store = nullptr;
  }

  auto send(const std::string& id) {
    request.id = id;
    auto reply = self->request(aut, caf::infinite, request);
    run();
    return reply;
  }

  node_status status() { return *ask<node_status>(aut, atom::status_v); }
};

TEST_CASE_METHOD(node_system, "a node solves and gives the tree an id", "[actors]") {
  request.id = "";
  const auto t = finished(ask<finished_tree>(aut, request));
  CHECK(t.id.size() == 26);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(node_system, "trees get ids that sort by age", "[actors]") {
  request.id = "";
  const auto first = finished(ask<finished_tree>(aut, request)).id;
  CHECK(first < finished(ask<finished_tree>(aut, request)).id);
}

TEST_CASE_METHOD(node_system, "a node passes every tree on to the store", "[actors]") {
  finished(ask<finished_tree>(aut, request));
  REQUIRE(stored.size() == 1);
  CHECK(stored.front().value->id == "t");
}

TEST_CASE_METHOD(node_system, "no more trees run than may and the rest wait in order", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c"), d = send("d");
  const auto now = status();
  CHECK(now.accepted == 4);
  CHECK(now.running == 2);
  CHECK(now.queued == 2);
  CHECK(now.trees == std::vector<std::string>{"a", "b"});
  CHECK(script->requests.size() == 2);
  break_silence();
  CHECK(finished(take<finished_tree>(a)).outcome.solved);
  CHECK(finished(take<finished_tree>(b)).outcome.solved);
  CHECK(finished(take<finished_tree>(c)).outcome.solved);
  CHECK(finished(take<finished_tree>(d)).outcome.solved);
  std::vector<std::string> order;
  for (const auto& t : stored) order.push_back(t.value->id);
  CHECK(order == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE_METHOD(node_system, "older trees have lower families", "[actors]") {
  send("a");
  send("b");
  CHECK(script->requests.front().family < script->requests.back().family);
}

TEST_CASE_METHOD(node_system, "an id that is taken is refused", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  auto again = send("a"), queued_again = send("c");
  CHECK(errc_of(take<finished_tree>(again).error(), errc::none) == errc::bad_request);
  CHECK(errc_of(take<finished_tree>(queued_again).error(), errc::none) == errc::bad_request);
  break_silence();
  for (auto* reply : {&a, &b, &c}) CHECK(finished(take<finished_tree>(*reply)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "what is no problem never runs", "[actors]") {
  request.problem = {{1, 2}, -1};
  CHECK(errc_of(ask<finished_tree>(aut, request).error(), errc::none) == errc::bad_request);
  CHECK(status().accepted == 0);
}

TEST_CASE_METHOD(node_system, "a running tree is cancelled by its id", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b");
  self->send(aut, cancel_request{"a"});
  run();
  CHECK(finished(take<finished_tree>(a)).failure == errc::cancelled);
  CHECK(status().trees == std::vector<std::string>{"b"});
  break_silence();
  CHECK(finished(take<finished_tree>(b)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "a waiting tree is cancelled without having begun", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  self->send(aut, cancel_request{"c"});
  run();
  const auto t = finished(take<finished_tree>(c));
  CHECK(t.phase == tree_phase::cancelled);
  CHECK(t.usage().generated_tokens == 0);
  CHECK(t.root().since_ms == t.finished_ms);
  CHECK(stored.front().value->id == "c");
  break_silence();
  for (auto* reply : {&a, &b}) CHECK(finished(take<finished_tree>(*reply)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "who cancels a waiting tree by hand sees how it ended", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  advance(std::chrono::seconds(3));
  const auto seen = ask<tree_status>(aut, steer_request{tree_action::cancel, "c", "/"});
  REQUIRE(seen);
  CHECK(seen->value->phase == tree_phase::cancelled);
  CHECK(seen->value->failure == errc::cancelled);
  CHECK(seen->value->finished_ms == seen->value->created_ms + 3000);
  CHECK(take<finished_tree>(c)->value->finished_ms == seen->value->finished_ms);
  break_silence();
  for (auto* reply : {&a, &b}) CHECK(finished(take<finished_tree>(*reply)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "cancelling a tree that is not there changes nothing", "[actors]") {
  self->send(aut, cancel_request{"nobody"});
  run();
  CHECK(finished(ask<finished_tree>(aut, request)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "a drained node cancels what runs and waits and leaves", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  self->send(aut, atom::drain_v);
  run();
  for (auto* reply : {&a, &b, &c})
    CHECK(finished(take<finished_tree>(*reply)).failure == errc::cancelled);
  CHECK(stored.size() == 3);
  CHECK(running() == 2); // pool and store
}

TEST_CASE_METHOD(node_system, "a node that drains takes no more work", "[actors]") {
  script->silent = {"/"};
  auto a = send("a");
  self->send(aut, atom::drain_v);
  auto late = send("b"); // in the node's queue before the last session is gone
  CHECK(errc_of(take<finished_tree>(late).error(), errc::none) == errc::cancelled);
  CHECK(finished(take<finished_tree>(a)).failure == errc::cancelled);
}

TEST_CASE_METHOD(node_system, "a node adds up what became of its trees", "[actors]") {
  finished(ask<finished_tree>(aut, request));
  script->lines["/"].back() = texts::resignation;
  finished(ask<finished_tree>(aut, request));
  const auto now = status();
  CHECK(now.finished == 2);
  CHECK(now.solved == 1);
  CHECK(now.failed == 1);
  REQUIRE(now.pools.size() == 1);
  CHECK(now.pools.front().name == "scripted");
}

pool_actor::behavior_type busy_pool(pool_actor::stateful_pointer<scripted_pool_state> self) {
  return {
      [](const decode_request&) -> caf::result<decode_reply> { return errc::pool_full; },
      [](const decode_cancel&) {},
      [](const decode_watch&) {},
      [](const sequence_request&) { return sequence_status{}; },
      [](const lease_release&) {},
      [](const weights_ready&) { return weights_taken{}; },
      [self](atom::status) -> caf::result<pool_status> {
        return self->make_response_promise<pool_status>(); // never
      },
      [](atom::step) {},
  };
}

TEST_CASE_METHOD(session_system, "a node shows a pool that is busy as it was", "[actors]") {
  auto busy = sys.spawn(busy_pool);
  const auto gauge = std::make_shared<pool_gauge>();
  pool_status known;
  known.name = "busy";
  known.running = 7;
  gauge->show(known);
  node_options options;
  options.reasoning = reasoning();
  options.pools = {{"busy", busy, gauge}, {"scripted:0", pool}};
  const auto aut = spawn_node(sys, options);
  options = {};
  auto reply = self->request(aut, caf::infinite, atom::status_v);
  run();
  advance(500ms);
  const auto now = take<node_status>(reply);
  REQUIRE(now);
  REQUIRE(now->pools.size() == 2);
  CHECK(now->pools.front().running == 7);
  self->send(aut, atom::drain_v);
  end(busy);
}

TEST_CASE_METHOD(node_system, "a lost pool is asked no more", "[actors]") {
  end(pool);
  CHECK(status().pools.empty());
}

TEST_CASE_METHOD(node_system, "a node shows running and waiting trees by their id", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  CHECK(ask<tree_status>(aut, tree_request{"a"})->value->phase == tree_phase::running);
  CHECK(ask<tree_status>(aut, tree_request{"c"})->value->phase == tree_phase::queued);
  CHECK_FALSE(ask<tree_status>(aut, tree_request{"x"}));
  break_silence();
  for (auto* reply : {&a, &b, &c}) CHECK(finished(take<finished_tree>(*reply)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "a node shows a thread with its text", "[actors]") {
  script->silent = {"/0"};
  auto a = send("a");
  const auto text = [&](const char* path) {
    return ask<thread_status>(aut, thread_request{"a", path})->record.text();
  };
  CHECK(text("/") == texts::prompt + texts::expansion + texts::spawn_two); // lives and waits
  CHECK(text("/1") == texts::bad_prompt + texts::bad_child);               // is over
  CHECK_FALSE(ask<thread_status>(aut, thread_request{"a", "/7"}));
  CHECK_FALSE(ask<thread_status>(aut, thread_request{"b", "/"}));
  break_silence();
  CHECK(finished(take<finished_tree>(a)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "a thread is shown with what its pool has sampled so far",
                 "[actors]") {
  script->silent = {"/0"};
  script->sampled = 30;
  auto a = send("a");
  auto seen = ask<thread_status>(aut, thread_request{"a", "/0"});
  CHECK(seen->at_pool.blocks == 3);
  CHECK(seen->record.text() == texts::good_prompt + texts::good_child.substr(0, 30));
  CHECK(seen->record.generated_tokens() == 30);
  script->sampled = 20; // the first 5 were told already, as to one who follows
  self->send(caf::actor_cast<caf::actor>(script->askers.at("/0")),
             decode_progress{script->codec.encode(texts::good_child.substr(0, 25)), {}, {}});
  seen = ask<thread_status>(aut, thread_request{"a", "/0"});
  CHECK(seen->record.text() == texts::good_prompt + texts::good_child.substr(0, 25));
  break_silence();
  CHECK(finished(take<finished_tree>(a)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "the board counts what a pool samples while it does", "[actors]") {
  script->silent = {"/0"};
  auto a = send("a");
  const auto tokens = [&] {
    for (const auto& row : board->snapshot_of("a"))
      if (row.thread == "/0") return row.tokens;
    return std::uint64_t{0};
  };
  CHECK(tokens() == 0);
  std::ranges::find(script->requests, "/0", &decode_request::thread)->meter->fetch_add(12);
  CHECK(tokens() == 12);
  break_silence();
  CHECK(finished(take<finished_tree>(a)).outcome.solved);
}

TEST_CASE_METHOD(node_system, "a lost session answers and makes room for the next", "[actors]") {
  script->silent = {"/"};
  auto a = send("a"), b = send("b"), c = send("c");
  const auto sender = script->requests.size();
  CHECK(sender == 2);
  // The session is known to its root thread alone; the kill goes by way of the thread's own handle.
  auto* thread = static_cast<caf::stateful_actor<thread_state, thread_actor::base>*>(
      caf::actor_cast<caf::abstract_actor*>(
          caf::actor_cast<caf::strong_actor_ptr>(script->askers.at("/"))));
  caf::anon_send_exit(thread->state.options.session, caf::exit_reason::kill);
  run();
  CHECK(script->requests.size() == 3); // the third tree runs
  CHECK_FALSE(take<finished_tree>(b));
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].starts_with("b: "));
  CHECK(lost[0].find("kill") != std::string::npos);
  break_silence();
  CHECK(lost.size() == 1); // those that end as they should are not
  for (auto* reply : {&a, &c}) CHECK(finished(take<finished_tree>(*reply)).outcome.solved);
}

/// Solves `request` so many times over `options.pools` and a script, on OS threads; how many were
/// solved.
int solve_in_parallel(int count, node_options options, const std::shared_ptr<pool_script>& script,
                      const solve_request& request) {
  caf::actor_system_config config;
  configure(config, 4);
  caf::actor_system sys(config); // its destructor waits for every actor
  caf::scoped_actor self(sys);
  auto pool = sys.spawn(scripted_pool, script);
  options.pools = {{"scripted:0", pool}};
  auto aut = spawn_node(sys, std::exchange(options, {}));
  for (int i = 0; i < count; ++i) self->send(aut, request);
  int solved = 0;
  for (int i = 0; i < count; ++i)
    self->receive([&](const finished_tree& t) { solved += t.value->outcome.solved; });
  self->send(aut, atom::drain_v);
  self->wait_for(aut);
  self->send_exit(pool, caf::exit_reason::user_shutdown);
  return solved;
}

/// How many children said a word before their parent's spawn was told.
int told_too_early(const std::vector<tree_event>& news) {
  int early = 0;
  std::set<std::string> spawned; // "tree path"
  for (const auto& e : news) {
    for (const auto& path : e.children) spawned.insert(e.tree + " " + path);
    early += e.what == tree_event::kind::thread && e.thread != "/"
             && !spawned.contains(e.tree + " " + e.thread);
  }
  return early;
}

/// The ordinary scheduler, for once: what tests above show step by step has to hold with OS threads
/// too.
TEST_CASE("trees that run at the same time on several OS threads are all solved", "[actors]") {
  auto script = std::make_shared<pool_script>();
  script->lines = {{"/", {texts::expansion + texts::spawn_two, texts::conclusion}},
                   {"/0", {texts::good_child}},
                   {"/1", {texts::bad_child}}};
  const auto board = std::make_shared<status_board>();
  const auto events = std::make_shared<event_hub>();
  const auto heard = events->subscribe("", 0, [] {});
  node_options options;
  options.reasoning.codec = toy_codec();
  options.reasoning.board = board;
  options.reasoning.events = events;
  solve_request request;
  request.problem = texts::asked;
  CHECK(solve_in_parallel(200, std::move(options), script, request) == 200);
  CHECK(board->size() == 0);
  const auto news = heard->take();
  CHECK_FALSE(heard->lost());
  CHECK(std::ranges::count(news, tree_event::kind::done, &tree_event::what) == 200);
  CHECK(told_too_early(news) == 0);
}

} // namespace
} // namespace banyan
