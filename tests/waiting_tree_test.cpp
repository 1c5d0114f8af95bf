#include "tests/recovering_node.hpp"

namespace banyan {
namespace {

using namespace std::chrono_literals;

/// After a restart the tree "t", which had begun, waits for its turn behind "u".
struct waiting_tree : recovering_node {
  void wait_again() {
    crash();
    script->silent = {"/"};
    aut = start(1);
    auto other = request;
    other.id = "u";
    REQUIRE(ask<accepted_tree>(aut, accept_request{other}));
    self->send(aut, kept->unfinished("t"));
    run();
    script->requests.clear();
  }

  tree seen(bool texts = false) {
    const auto now = ask<tree_status>(aut, tree_request{"t", texts});
    if (!now) FAIL(sys.render(now.error()));
    return *now->value;
  }

  auto steer(tree_action action, const std::string& path) {
    return ask<tree_status>(aut, steer_request{action, "t", path});
  }

  errc refusal(tree_action action, const std::string& path) {
    const auto answer = steer(action, path);
    return answer ? errc::none : errc_of(answer.error(), errc::child_lost);
  }

  tree after_all() {
    break_silence();
    const auto done = std::ranges::find_if(
        kept->finished, [](const finished_tree& t) { return t.value->id == "t"; });
    if (done == kept->finished.end()) FAIL("the tree was not finished");
    CHECK(done->value->inconsistent().value_or("") == "");
    return *done->value;
  }
};

TEST_CASE_METHOD(waiting_tree, "a tree that waits again is shown as its boundaries left it",
                 "[actors]") {
  script->silent = {"/1"};
  submit();
  advance(3s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/1"}));
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::resume, "t", "/1"}));
  wait_again();
  CHECK(kept->states.back().id == "t");
  CHECK(kept->states.back().phase == tree_phase::queued);
  const auto now = seen();
  CHECK(now.phase == tree_phase::queued);
  CHECK(now.wall_ms == 3000);
  REQUIRE(now.threads.size() == 3);
  CHECK(now.root().phase == thread_phase::queued);
  CHECK(now.root().waiting_for.empty());
  CHECK(now.find("/0")->phase == thread_phase::done);
  CHECK(now.find("/0")->generated_tokens() == texts::good_child.size() + 1);
  CHECK(now.find("/0")->text().empty());
  CHECK(seen(true).find("/0")->text() == texts::good_prompt + texts::good_child);
  const auto one = ask<thread_status>(aut, thread_request{"t", "/0"});
  REQUIRE(one);
  CHECK(one->record.text() == texts::good_prompt + texts::good_child);
  CHECK_FALSE(ask<thread_status>(aut, thread_request{"t", "/7"}));
  CHECK(after_all().outcome.solved);
}

TEST_CASE_METHOD(waiting_tree, "a tree that waits again keeps its time when it is cancelled",
                 "[actors]") {
  script->silent = {"/1"};
  submit();
  advance(3s);
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/1"}));
  wait_again();
  REQUIRE(steer(tree_action::cancel, "/"));
  REQUIRE(kept->finished.size() == 1);
  CHECK(kept->finished.front().value->wall_ms == 3000);
}

TEST_CASE_METHOD(waiting_tree, "a part of a tree that waits again is cancelled", "[actors]") {
  script->silent = {"/0", "/1"};
  submit();
  wait_again();
  const auto watching = events->subscribe("t", 0, [] {});
  REQUIRE(steer(tree_action::cancel, "/1"));
  CHECK(refusal(tree_action::cancel, "/1") == errc::bad_request);
  CHECK(refusal(tree_action::pause, "/1") == errc::bad_request);
  CHECK(refusal(tree_action::cancel, "/7") == errc::not_found);
  const auto news = watching->take();
  REQUIRE(news.size() == 1);
  CHECK(news.front().thread == "/1");
  CHECK(news.front().state == "cancelled");
  CHECK(seen().find("/1")->failure == errc::cancelled);
  wait_again(); // the store knows it
  CHECK(seen().find("/1")->failure == errc::cancelled);
  const auto done = after_all();
  CHECK(done.find("/1")->failure == errc::cancelled);
  CHECK(done.outcome.solved);
}

TEST_CASE_METHOD(waiting_tree, "a part of a tree that waits again is paused and resumed",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  submit();
  wait_again();
  REQUIRE(steer(tree_action::pause, "/0"));
  CHECK(seen().phase == tree_phase::queued);
  CHECK(seen().find("/0")->phase == thread_phase::paused);
  CHECK(seen().find("/1")->phase == thread_phase::queued);
  CHECK(kept->unfinished("t").halted == halted_paths{"/0"});
  break_silence();
  CHECK(kept->finished.size() == 1); // "u" alone
  REQUIRE(steer(tree_action::resume, "/0"));
  CHECK(after_all().outcome.solved);
}

TEST_CASE_METHOD(waiting_tree, "a tree that is paused as a whole and waits again is shown so",
                 "[actors]") {
  script->silent = {"/0", "/1"};
  submit();
  REQUIRE(ask<tree_status>(aut, steer_request{tree_action::pause, "t", "/"}));
  wait_again();
  CHECK(seen().phase == tree_phase::paused);
  for (const auto& thread : seen().threads) CHECK(thread.phase == thread_phase::paused);
  CHECK(refusal(tree_action::resume, "/0") == errc::bad_request);
  const auto resumed = steer(tree_action::resume, "/");
  REQUIRE(resumed);
  CHECK(resumed->value->phase == tree_phase::running); // at once, though another has the place
  CHECK(resumed->value->threads.size() == 3);
  CHECK(ask<node_status>(aut, atom::status_v)->running == 2);
  CHECK(after_all().outcome.solved);
}

/// "u" waits behind "t", and nobody has begun it.
struct tree_behind_another : recovering_node {
  const std::int64_t begin = unix_ms()();

  tree_behind_another() {
    end(aut);
    aut = start(1);
    script->silent = {"/"};
    submit();
    request.id = "u";
    submit();
  }
};

TEST_CASE_METHOD(tree_behind_another, "a tree that nobody has begun says since when it is paused",
                 "[actors]") {
  const auto steer = [&](tree_action action) {
    const auto answer = ask<tree_status>(aut, steer_request{action, "u", "/"});
    if (!answer) FAIL(sys.render(answer.error()));
    return answer->value;
  };
  advance(10s);
  const auto paused = steer(tree_action::pause);
  CHECK(paused->root().phase == thread_phase::paused);
  CHECK(paused->root().since_ms == begin + 10'000);
  advance(5s);
  steer(tree_action::pause); // changes nothing
  const auto resumed = steer(tree_action::resume);
  CHECK(resumed->phase == tree_phase::queued); // it waits for its turn as before
  CHECK(resumed->root().since_ms == begin + 15'000);
  advance(5s);
  steer(tree_action::cancel);
  REQUIRE(kept->finished.size() == 1);
  CHECK(history_of(*kept->finished.front().value, "/", begin)
        == "paused 10, queued 15, cancelled 20, ");
  break_silence();
}

TEST_CASE_METHOD(tree_behind_another,
                 "a tree that was paused before it began has that in its history", "[actors]") {
  for (const auto action : {tree_action::pause, tree_action::resume})
    REQUIRE(ask<tree_status>(aut, steer_request{action, "u", "/"}));
  break_silence();
  REQUIRE(kept->finished.size() == 2);
  CHECK(history_of(*kept->finished.back().value, "/", begin)
            .starts_with("paused 0, queued 0, decoding 0, "));
  CHECK(kept->finished.back().value->outcome.solved);
}

TEST_CASE_METHOD(recovering_node, "a thread that waits says once for whom", "[actors]") {
  script->silent = {"/1"};
  submit();
  const auto now = ask<tree_status>(aut, tree_request{"t"});
  REQUIRE(now);
  CHECK(now->value->root().waiting_for == std::vector<std::string>{"/1"});
  break_silence();
}

} // namespace
} // namespace banyan
