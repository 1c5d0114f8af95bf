#include "tests/session_system.hpp"
#include "tests/stored_trees.hpp"

#include <algorithm>

namespace banyan {
namespace {

using namespace std::chrono_literals;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// ---- the ordinary way ----

TEST_CASE_METHOD(session_system, "a session answers with the solved tree", "[actors]") {
  const auto t = solve();
  CHECK(t.phase == tree_phase::done);
  CHECK(t.failure == errc::none);
  CHECK(t.outcome.solved);
  CHECK(t.outcome.operations == std::vector<std::string>{"61-42=19", "66-19=47"});
  CHECK(t.threads.size() == 3);
  CHECK(t.weights_epoch == 7);
}

TEST_CASE_METHOD(session_system, "a record keeps the spawn block and what took its place",
                 "[actors]") {
  const auto t = solve();
  const auto join = "<Sub Searches>\n<Goal Reached in Sub Search 0 at level 1 at Node #0,1>\n"
                    + texts::good_solution
                    + "<No Solution in Sub Search 1 at level 1 at Node #0,0>\n<End Sub Searches>\n";
  CHECK(told(t.root())
        == std::vector{"prompt:" + texts::prompt, "written:" + texts::expansion,
                       "spawn:" + texts::spawn_two, "joined:" + join,
                       "written:" + texts::conclusion});
  CHECK(t.root().text() == texts::prompt + texts::expansion + join + texts::conclusion);
}

TEST_CASE_METHOD(session_system, "children know their own prompt and nothing of their parent",
                 "[actors]") {
  const auto t = solve();
  CHECK(told(*t.find("/0"))
        == std::vector{"prompt:" + texts::good_prompt, "written:" + texts::good_child});
  CHECK(t.find("/0")->solution == texts::good_solution);
  CHECK(t.find("/1")->failure == errc::no_solution);
}

TEST_CASE_METHOD(session_system, "children join in the order they were spawned", "[actors]") {
  script->silent = {"/0"}; // the first one answers last
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  break_silence();
  const auto t = finished(take<finished_tree>(reply));
  const auto text = t.root().text();
  CHECK(text.find("Sub Search 0 at level 1 at Node #0,1")
        < text.find("<No Solution in Sub Search 1"));
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "usage counts all threads and the longest chain", "[actors]") {
  const auto t = solve();
  const auto usage = t.usage();
  const auto of = [&](const char* path) { return t.find(path)->generated_tokens(); };
  CHECK(usage.threads == 3);
  CHECK(usage.rounds == 1);
  CHECK(usage.generated_tokens == of("/") + of("/0") + of("/1"));
  CHECK(usage.critical_path_tokens == of("/") + std::max(of("/0"), of("/1")));
}

TEST_CASE_METHOD(session_system, "two children with the same prompt are two children", "[actors]") {
  script->lines["/"].front() = texts::expansion
                               + "<Calling Sub Searches>\n"
                                 "<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
                                 "<Start Sub Search 1 at level 1> Moving to Node #0,1\n"
                                 "<End Calling Sub Searches>\n";
  script->lines["/1"] = {texts::good_child};
  const auto t = solve();
  CHECK(t.threads.size() == 3);
  CHECK(t.find("/0")->solution == t.find("/1")->solution);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a second round of children goes on counting", "[actors]") {
  script->lines["/"] = {texts::expansion + texts::spawn_two, texts::expansion + texts::spawn_two,
                        texts::conclusion};
  script->lines["/2"] = {texts::good_child};
  const auto t = solve();
  CHECK(t.threads.size() == 5);
  CHECK(t.find("/2")->round == 1);
  CHECK(t.root().rounds == 2);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a child of a child joins where it was spawned", "[actors]") {
  request.budget.max_depth = 2;
  script->lines["/0"] = {texts::nested_spawn, texts::good_child};
  script->lines["/0/0"] = {texts::nested_child};
  const auto t = solve();
  REQUIRE(t.find("/0/0"));
  CHECK(t.find("/0/0")->depth == 2);
  CHECK(t.find("/0/0")->solution == texts::nested_solution);
  CHECK(contains(t.find("/0")->text(), "<Goal Reached in Sub Search 0 at level 2 at Node #0,1,0>"));
  CHECK(t.outcome.solved);
  CHECK(t.usage().critical_path_tokens
        == t.root().generated_tokens() + t.find("/0")->generated_tokens()
               + t.find("/0/0")->generated_tokens());
}

TEST_CASE_METHOD(session_system, "a session without a problem reads it in the prompt", "[actors]") {
  request.problem = {};
  request.prompt = "Sub Call Budget: 2 " + texts::prompt;
  const auto t = solve();
  CHECK(t.problem == texts::asked);
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a session refuses what is no problem", "[actors]") {
  request.problem = {{1}, 1};
  const auto answer = ask<finished_tree>(begin(), work());
  REQUIRE(!answer);
  CHECK(errc_of(answer.error(), errc::none) == errc::bad_request);
}

TEST_CASE_METHOD(session_system, "the store gets the tree that the client gets", "[actors]") {
  const auto kept = std::make_shared<stored_trees>();
  auto store = sys.spawn(store_stub, kept);
  const auto answer = ask<finished_tree>(spawn_session(sys, {reasoning(), 1, store, true}), work());
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value == answer->value);
  end(store);
}

// ---- what a model gets wrong ----

TEST_CASE_METHOD(session_system, "a false claim is a claim and no solution", "[actors]") {
  auto wrong = texts::conclusion;
  for (auto at = wrong.find("66-19=47"); at != std::string::npos; at = wrong.find("66-19=47"))
    wrong.replace(at, 8, "66-18=47");
  script->lines["/"].back() = wrong;
  const auto t = solve();
  CHECK(t.phase == tree_phase::done);
  CHECK(t.outcome.claimed);
  CHECK_FALSE(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a tree whose root gives up has no solution", "[actors]") {
  script->lines["/"].back() = texts::resignation;
  const auto t = solve();
  CHECK(t.phase == tree_phase::failed);
  CHECK(t.failure == errc::no_solution);
  CHECK_FALSE(t.outcome.claimed);
}

TEST_CASE_METHOD(session_system, "a spawn that cannot be read fails the thread by name",
                 "[actors]") {
  script->lines["/"] = {texts::expansion + "<Calling Sub Searches>\nfoo\n"};
  const auto t = solve();
  CHECK(t.phase == tree_phase::failed);
  CHECK(t.failure == errc::malformed_spawn);
}

TEST_CASE_METHOD(session_system, "a malformed spawn of a child costs the child alone", "[actors]") {
  script->lines["/1"] = {"<Calling Sub Searches>\n<End Calling Sub Searches>\n"};
  const auto t = solve();
  CHECK(t.find("/1")->failure == errc::malformed_spawn);
  CHECK(contains(t.root().text(), "<No Solution in Sub Search 1"));
  CHECK(t.outcome.solved);
}

// ---- budgets ----

TEST_CASE_METHOD(session_system, "children beyond the budget of threads read as no solution",
                 "[actors]") {
  request.budget.max_threads = 2;
  const auto t = solve();
  CHECK(t.find("/0")->phase == thread_phase::done);
  CHECK(t.find("/1")->failure == errc::budget_spent);
  CHECK(t.find("/1")->generated_tokens() == 0);
  CHECK(contains(t.root().text(), "<No Solution in Sub Search 1"));
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "children beyond the depth read as no solution", "[actors]") {
  script->lines["/0"] = {texts::nested_spawn, texts::good_child};
  const auto t = solve();
  CHECK(t.find("/0/0")->failure == errc::budget_spent);
  CHECK(t.find("/0")->phase == thread_phase::done);
}

TEST_CASE_METHOD(session_system, "a thread whose rounds are used up fails", "[actors]") {
  request.budget.max_rounds = 1;
  script->lines["/"] = {texts::expansion + texts::spawn_two, texts::expansion + texts::spawn_two};
  const auto t = solve();
  CHECK(t.failure == errc::budget_spent);
  CHECK(t.threads.size() == 3);
  CHECK(t.root().segments.back().kind == segment_kind::spawn);
}

TEST_CASE_METHOD(session_system, "a thread samples as many tokens as it may and fails",
                 "[actors]") {
  request.budget.max_tokens = 100;
  const auto t = solve();
  CHECK(t.failure == errc::budget_spent);
  CHECK(t.root().generated_tokens() == 100);
}

TEST_CASE_METHOD(session_system, "no tree samples more than its tokens", "[actors]") {
  const auto whole = solve().usage().generated_tokens;
  for (const std::uint64_t tokens : {whole / 3, whole / 2, whole - 1}) {
    request.budget.max_tree_tokens = tokens;
    const auto t = solve();
    CHECK(t.usage().generated_tokens <= tokens);
    CHECK(t.failure == errc::budget_spent);
  }
}

TEST_CASE_METHOD(session_system, "a tree within its tokens is the tree without a limit",
                 "[actors]") {
  const auto free = solve();
  request.budget.max_tree_tokens = free.usage().generated_tokens + 1000;
  const auto limited = solve();
  CHECK(limited.outcome.solved);
  for (const auto& thread : free.threads) CHECK(told(thread) == told(*limited.find(thread.path)));
}

TEST_CASE_METHOD(session_system, "a full context is a failure of its own", "[actors]") {
  script->max_context = 150;
  const auto t = solve();
  CHECK(t.failure == errc::context_full);
}

TEST_CASE_METHOD(session_system, "a context limit counts the prompt and fails as a full context",
                 "[actors]") {
  request.budget.max_context = 150;
  const auto t = solve();
  CHECK(t.failure == errc::context_full);
  std::size_t context = 0;
  for (const auto& part : t.root().segments) context += part.ids.size();
  CHECK(context == 150);
}

TEST_CASE_METHOD(session_system, "a join that does not fit the context limit ends the thread",
                 "[actors]") {
  const auto asked = texts::prompt + texts::expansion + texts::spawn_two;
  request.budget.max_context =
      static_cast<std::uint32_t>(1 + asked.size()); // and begin-of-sequence
  const auto t = solve();
  CHECK(t.failure == errc::context_full);
  CHECK(t.find("/0")->phase == thread_phase::done);
  CHECK(t.root().segments.back().kind == segment_kind::joined);
}

// ---- deadlines ----

TEST_CASE_METHOD(session_system, "a silent pool costs a tree its deadline", "[actors]") {
  script->silent = {"/"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  advance(59s);
  CHECK(running() == 3); // pool, session, thread
  advance(1s);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.phase == tree_phase::failed);
  CHECK(t.failure == errc::deadline);
  CHECK(t.root().phase == thread_phase::failed);
  CHECK(t.root().history.back().phase == thread_phase::failed);
  CHECK(t.wall_ms == 60000);
  CHECK(script->cancelled == std::vector<std::string>{"/"});
}

TEST_CASE_METHOD(session_system, "the deadline ends waiting parents too", "[actors]") {
  script->silent = {"/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  advance(60s);
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.failure == errc::deadline);
  CHECK(t.find("/0")->phase == thread_phase::done);
  CHECK(t.find("/1")->failure == errc::deadline);
}

TEST_CASE_METHOD(session_system, "a session that ended is pinned for a second at most",
                 "[actors]") {
  auto actor = begin();
  const auto where = caf::actor_cast<caf::actor_addr>(actor);
  CHECK(ask<finished_tree>(actor, work()));
  actor = nullptr;
  advance(1s);
  CHECK_FALSE(caf::actor_cast<caf::strong_actor_ptr>(where));
}

// ---- loss and cancelling ----

TEST_CASE_METHOD(session_system, "a lost child reads as no solution and the record says lost",
                 "[actors]") {
  script->silent = {"/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  kill_thread("/1");
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.find("/1")->phase == thread_phase::failed);
  CHECK(t.find("/1")->failure == errc::child_lost);
  CHECK(told(*t.find("/1")) == std::vector{"prompt:" + texts::bad_prompt});
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a lost root takes its children along", "[actors]") {
  script->silent = {"/0", "/1"};
  auto reply = self->request(begin(), caf::infinite, work());
  run();
  kill_thread("/");
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.failure == errc::child_lost);
  CHECK(t.find("/0")->phase == thread_phase::cancelled);
}

TEST_CASE_METHOD(session_system, "a cancelled tree answers as cancelled with what was done",
                 "[actors]") {
  script->silent = {"/0"};
  const auto actor = begin();
  auto reply = self->request(actor, caf::infinite, work());
  run();
  self->send(actor, cancel_request{"t"});
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.phase == tree_phase::cancelled);
  CHECK(t.failure == errc::cancelled);
  CHECK(t.root().segments.at(1).text == texts::expansion);
  CHECK(t.find("/1")->failure == errc::no_solution);
}

TEST_CASE_METHOD(session_system, "a cancelled child costs its parent that child", "[actors]") {
  script->silent = {"/1"};
  const auto actor = begin();
  auto reply = self->request(actor, caf::infinite, work());
  run();
  self->send(actor, cancel_request{"t", "/1"});
  run();
  const auto t = finished(take<finished_tree>(reply));
  CHECK(t.find("/1")->phase == thread_phase::cancelled);
  CHECK(t.find("/1")->awaited); // its parent did wait for it
  CHECK(t.outcome.solved);
}

TEST_CASE_METHOD(session_system, "a killed session answers and ends its threads", "[actors]") {
  script->silent = {"/0", "/1"};
  const auto actor = begin();
  auto reply = self->request(actor, caf::infinite, work());
  run();
  caf::anon_send_exit(actor, caf::exit_reason::kill);
  run();
  CHECK_FALSE(take<finished_tree>(reply));
  CHECK(running() == 1); // the pool
}

TEST_CASE_METHOD(session_system, "a session that dies of an exception answers", "[actors]") {
  auto options = reasoning();
  options.codec.decode = [](std::span<const std::int32_t>) -> std::string {
    throw std::runtime_error("broken");
  };
  const auto answer = ask<finished_tree>(spawn_session(sys, {options, 1, {}, false}), work());
  REQUIRE(!answer);
  CHECK(errc_of(answer.error(), errc::none) == errc::child_lost);
}

// ---- status ----

TEST_CASE_METHOD(session_system, "a session shows its tree without texts", "[actors]") {
  script->silent = {"/1"};
  const auto actor = begin();
  auto reply = self->request(actor, caf::infinite, work());
  run();
  const auto now = *ask<tree_status>(actor, tree_request{"t"})->value;
  CHECK(now.phase == tree_phase::running);
  CHECK(now.root().phase == thread_phase::waiting);
  CHECK(now.root().waiting_for == std::vector<std::string>{"/1"});
  CHECK(now.find("/0")->phase == thread_phase::done);
  CHECK(now.find("/0")->generated_tokens() == texts::good_child.size() + 1);
  CHECK(now.find("/0")->text().empty());
  CHECK(now.find("/1")->phase == thread_phase::decoding);
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

TEST_CASE_METHOD(session_system, "a session takes one tree", "[actors]") {
  script->silent = {"/"};
  const auto actor = begin();
  auto reply = self->request(actor, caf::infinite, work());
  run();
  CHECK_FALSE(ask<finished_tree>(actor, work()));
  break_silence();
  CHECK(finished(take<finished_tree>(reply)).outcome.solved);
}

} // namespace
} // namespace banyan
