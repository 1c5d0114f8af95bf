#include "trainer/tree_store.hpp"

#include "tests/store_in_folder.hpp"
#include "trainer/tree_schema.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

// ---- writing

TEST_CASE_METHOD(store_in_folder, "a finished tree comes back whole", "[trainer]") {
  const auto t = finished_tree_of("a");
  write(store, [&] {
    store.accept(request_of("a"), 1000);
    store.record("a", thread_of("/"));
    store.finish(t);
  });
  check_same(store.find("a"), t);
  reopen();
  check_same(store.find("a"), t);
  CHECK(unfinished_names(store).empty());
  CHECK_FALSE(store.find("b"));
}

TEST_CASE_METHOD(store_in_folder, "a finished tree that nobody accepted is accepted too",
                 "[trainer]") {
  finish_all(store, {"a"});
  check_same(store.find("a"), finished_tree_of("a"));
  CHECK(listed(store, {.labels = {{"run", "a"}}}) == ids{"a"});
}

TEST_CASE_METHOD(store_in_folder, "a tree that is finished twice is as it was the second time",
                 "[trainer]") {
  accept_all(store, {"a"});
  finish_all(store, {"a"});
  auto again = finished_tree_of("a");
  again.phase = tree_phase::failed;
  again.outcome.solved = false;
  write(store, [&] { store.finish(again); });
  check_same(store.find("a"), again);
  CHECK(listed(store, {.states = {tree_phase::done}}).empty());
  CHECK(listed(store, {.solved = false}) == ids{"a"});
  CHECK(store.counts().finished == 1);
}

TEST_CASE_METHOD(store_in_folder, "an id that is known already is refused alone", "[trainer]") {
  accept_all(store, {"a"});
  write(store, [&] {
    store.accept(request_of("b"), 2000);
    CHECK_THROWS_AS(store.accept(request_of("a"), 2000), std::invalid_argument);
    CHECK_THROWS_AS(store.accept(request_of("b"), 2000), std::invalid_argument);
    store.accept(request_of("c"), 2000);
  });
  CHECK(listed(store) == ids{"c", "b", "a"});
}

TEST_CASE_METHOD(store_in_folder, "a tree too large for a record is refused alone", "[trainer]") {
  auto large = finished_tree_of("large");
  large.prompt.resize(max_record_bytes);
  write(store, [&] {
    store.accept(request_of("a"), 1000);
    CHECK_THROWS_AS(store.finish(large), std::invalid_argument);
  });
  CHECK(listed(store) == ids{"a"});
}

TEST_CASE_METHOD(store_in_folder, "only finishing ends a tree", "[trainer]") {
  accept_all(store, {"a"});
  write(store, [&] { store.set_state("a", tree_phase::cancelled); });
  CHECK(unfinished_names(store) == ids{"a"});
}

TEST_CASE_METHOD(store_in_folder, "what was rolled back never was", "[trainer]") {
  accept_all(store, {"a"});
  store.begin();
  store.accept(request_of("b"), 2000);
  store.finish(finished_tree_of("a"));
  store.roll_back();
  CHECK(unfinished_names(store) == ids{"a"});
  accept_all(store, {"b"}, 2000);
  CHECK(unfinished_names(store) == ids{"a", "b"});
}

TEST_CASE_METHOD(store_in_folder, "a transaction that was left open is gone after reopening",
                 "[trainer]") {
  store.begin();
  store.accept(request_of("a"), 1000);
  reopen();
  CHECK(listed(store).empty());
}

TEST_CASE_METHOD(store_in_folder, "any bytes will do for names and texts", "[trainer]") {
  const std::string odd("a'\"%\0\xff\n?;", 9);
  auto request = request_of(odd);
  request.task = request.prompt = odd;
  request.labels = {{odd, odd}, {"", ""}};
  write(store, [&] {
    store.accept(request, 1000);
    store.accept(request_of("b"), 1000);
  });
  CHECK(listed(store, {.labels = {{odd, odd}}, .task = odd}) == ids{odd});
  CHECK(listed(store, {.labels = {{"", ""}}}) == ids{odd});
  CHECK(store.find(odd)->prompt == odd);
  CHECK(listed(store, {.after = odd}).empty());
}

// ---- unfinished trees

TEST_CASE_METHOD(store_in_folder, "an accepted tree is found as it begins", "[trainer]") {
  auto told = request_of("told"), read = request_of("read");
  read.problem = {};
  read.prompt = root_prompt(some_problem, {.sub_call_budget = 3});
  write(store, [&] {
    store.accept(told, 1000);
    store.accept(read, 2000);
  });
  for (const auto* id : {"told", "read"}) {
    const auto t = store.find(id);
    REQUIRE(t);
    CHECK_FALSE(t->inconsistent());
    CHECK(t->problem == some_problem);
    CHECK(t->labels == told.labels);
    CHECK(t->seed == 7);
    CHECK(t->phase == tree_phase::queued);
    CHECK(t->root().phase == thread_phase::queued);
    CHECK(t->root().text() == t->prompt);
  }
  CHECK(store.find("told")->prompt == root_prompt(some_problem));
  CHECK(store.find("read")->prompt == read.prompt);
  CHECK(store.find("read")->created_ms == 2000);
}

TEST_CASE_METHOD(store_in_folder, "a thread is found as it was at its last boundary", "[trainer]") {
  accept_all(store, {"a", "b"});
  write(store, [&] {
    store.record("a", thread_of("/", 1));
    store.record("a", thread_of("/0", 2));
    store.record("b", thread_of("/", 3));
  });
  write(store, [&] { store.record("a", thread_of("/", 4)); });
  reopen();
  const auto t = store.find("a");
  REQUIRE(t);
  CHECK_FALSE(t->inconsistent());
  REQUIRE(paths_of(t->threads) == ids{"/", "/0"});
  CHECK(encode_thread(t->threads[0]) == encode_thread(thread_of("/", 4)));
  CHECK(encode_thread(t->threads[1]) == encode_thread(thread_of("/0", 2)));
  const auto unfinished = store.unfinished();
  REQUIRE(unfinished.size() == 2);
  CHECK(encode_thread(unfinished[0].threads[0]) == encode_thread(thread_of("/", 4)));
  CHECK(encode_solve_request(unfinished[0].request) == encode_solve_request(request_of("a")));
  CHECK(unfinished[0].created_ms == 1000);
  CHECK(paths_of(unfinished[1].threads) == ids{"/"});
}

TEST_CASE_METHOD(store_in_folder, "a tree has used as much time as its last boundary says",
                 "[trainer]") {
  accept_all(store, {"a", "b"});
  write(store, [&] {
    store.record("a", thread_of("/"), 100);
    store.record("a", thread_of("/0"), 300);
  });
  write(store, [&] { store.record("a", thread_of("/"), 250); });
  CHECK(store.unfinished()[0].used_ms == 300);
  write(store, [&] { store.record("a", thread_of("/"), 400); });
  reopen();
  CHECK(store.unfinished()[0].used_ms == 400);
  CHECK(store.find("a")->wall_ms == 400);
  CHECK(store.list({}).back().wall_ms == 400);
  CHECK(store.unfinished()[1].used_ms == 0);
}

TEST_CASE_METHOD(store_in_folder, "parents come before children and children in their order",
                 "[trainer]") {
  accept_all(store, {"a"});
  write(store, [&] {
    for (const auto* path : {"/10", "/2/0", "/2", "/", "/10/1", "/2/11", "/2/3"})
      store.record("a", thread_of(path));
  });
  const ids expected{"/", "/2", "/10", "/2/0", "/2/3", "/2/11", "/10/1"};
  CHECK(paths_of(store.find("a")->threads) == expected);
  CHECK(paths_of(store.unfinished()[0].threads) == expected);
}

TEST_CASE_METHOD(store_in_folder, "a thread without its parent is left out", "[trainer]") {
  accept_all(store, {"a", "b"});
  write(store, [&] {
    for (const auto* path : {"/", "/1/0", "/1/0/0", "/2"}) store.record("a", thread_of(path));
    store.record("b", thread_of("/0"));
  });
  CHECK(paths_of(store.find("a")->threads) == ids{"/", "/2"});
  CHECK(store.unfinished()[1].threads.empty());
  CHECK(paths_of(store.find("b")->threads) == ids{"/"});
}

TEST_CASE_METHOD(store_in_folder, "nothing is recorded of a tree that is unknown or finished",
                 "[trainer]") {
  finish_all(store, {"a"});
  write(store, [&] {
    for (const auto* id : {"a", "b"}) {
      store.record(id, thread_of("/"));
      store.set_state(id, tree_phase::paused, {"/"});
    }
  });
  check_same(store.find("a"), finished_tree_of("a"));
  CHECK_FALSE(store.find("b"));
  CHECK(listed(store, {.states = {tree_phase::paused}}).empty());
}

TEST_CASE_METHOD(store_in_folder, "unfinished trees come oldest first with their state",
                 "[trainer]") {
  accept_all(store, {"c", "a", "b", "d"});
  write(store, [&] {
    store.set_state("a", tree_phase::paused, {"/", "/0/3"});
    store.set_state("b", tree_phase::paused, {"/"});
    store.set_state("b", tree_phase::running);
    store.finish(finished_tree_of("d"));
  });
  reopen();
  const auto trees = store.unfinished();
  CHECK(unfinished_names(store) == ids{"c", "a", "b"});
  CHECK(trees[1].halted == halted_paths{"/", "/0/3"});
  CHECK(trees[2].halted.empty());
  CHECK(store.find("a")->phase == tree_phase::paused);
  CHECK(store.find("b")->phase == tree_phase::running);
  CHECK(store.find("c")->phase == tree_phase::queued);
}

TEST_CASE_METHOD(store_in_folder, "unfinished trees of a label are forgotten and no others",
                 "[trainer]") {
  auto labelled = request_of("a");
  labelled.labels = {{"member", "1"}};
  auto finished = finished_tree_of("c", 1000);
  finished.labels = {{"member", "2"}};
  write(store, [&] {
    store.accept(labelled, 1000);
    store.accept(request_of("b"), 1000);
    store.finish(finished);
  });
  CHECK(store.forget_unfinished("member") == 1);
  CHECK(unfinished_names(store) == ids{"b"});
  CHECK(store.find("c"));
}

TEST_CASE_METHOD(store_in_folder, "trees and their files are counted", "[trainer]") {
  accept_all(store, {"a", "b", "c"});
  finish_all(store, {"c", "d", "e", "f"});
  const auto counts = store.counts();
  CHECK(counts.finished == 4);
  CHECK(counts.unfinished == 2);
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    bytes += entry.file_size();
  CHECK(counts.bytes == bytes);
}

// ---- reading

TEST_CASE_METHOD(store_in_folder, "a list has the figures of its trees and not their texts",
                 "[trainer]") {
  accept_all(store, {"a", "b"});
  finish_all(store, {"b"});
  write(store, [&] { store.record("a", thread_of("/", 5)); });
  const auto trees = store.list({});
  REQUIRE(names_of(trees) == ids{"b", "a"});
  for (const auto& t : trees) {
    const auto whole = *store.find(t.id);
    CHECK(t.usage().generated_tokens == whole.usage().generated_tokens);
    CHECK(t.usage().critical_path_tokens == whole.usage().critical_path_tokens);
    CHECK(t.usage().threads == whole.usage().threads);
    CHECK(t.phase == whole.phase);
    CHECK(t.outcome == whole.outcome);
    for (const auto& thread : t.threads) {
      CHECK(thread.text().empty());
      for (const auto& s : thread.segments) CHECK(s.logprobs.empty());
    }
  }
  CHECK(trees[0].usage().generated_tokens == 24);
  CHECK(trees[1].usage().generated_tokens == 7);
}

// ---- what to keep

TEST_CASE_METHOD(store_in_folder, "old trees go and unfinished ones stay", "[trainer]") {
  accept_all(store, {"waits"}, 1);
  finish_all(store, {"a", "b", "c", "d"}, 10'000); // end 500 ms later, 1 ms after each other
  CHECK(store.sweep({}, 1'000'000) == 0);
  CHECK(store.sweep({.max_age_s = 10}, 20'500) == 0);
  CHECK(store.sweep({.max_age_s = 10}, 20'502) == 2);
  CHECK(listed(store) == ids{"d", "c", "waits"});
  CHECK(listed(store, {.labels = {{"run", "a"}}}) == ids{"d", "c", "waits"});
  CHECK(store.sweep({.max_age_s = 10}, 1'000'000, 1) == 1);
  CHECK(listed(store) == ids{"d", "waits"});
  CHECK(store.sweep({.max_age_s = 10}, 1'000'000) == 1);
  CHECK(unfinished_names(store) == ids{"waits"});
}

TEST_CASE_METHOD(store_in_folder, "the oldest trees make room and the file shrinks", "[trainer]") {
  finish_large(store, 60);
  accept_all(store, {"waits"}, 1);
  const auto before = store.counts().bytes;
  const std::uint64_t most = before / 3;
  const auto dropped = store.sweep({.max_bytes = most}, 0);
  CHECK(dropped > 30);
  CHECK(dropped < 60);
  CHECK(std::filesystem::file_size(file) <= most);
  CHECK(std::filesystem::file_size(file) > most / 2);
  CHECK(store.counts().bytes < before / 2);
  CHECK(store.counts().finished == 60 - dropped);
  CHECK(visited(store, {.states = {tree_phase::done}}).front() == "t" + std::to_string(dropped));
  CHECK(unfinished_names(store) == ids{"waits"});
  CHECK(store.sweep({.max_bytes = most}, 0) == 0);
  CHECK(store.sweep({.max_bytes = 1}, 0) == 60 - dropped);
  CHECK(unfinished_names(store) == ids{"waits"});
}

TEST_CASE_METHOD(store_in_folder, "the log of a store that was swept is empty", "[trainer]") {
  const auto log = [&] { return std::filesystem::file_size(file.string() + "-wal"); };
  finish_all(store, {"a", "b", "c"}, 10'000);
  CHECK(store.sweep({.max_age_s = 10}, 20'000) == 0);
  CHECK(log() > 0);
  CHECK(store.sweep({.max_age_s = 10}, 20'501) == 1);
  CHECK(log() == 0);
  finish_large(store, 10);
  database reader(file, {.read_only = true}, tree_schema);
  reader.run("BEGIN; SELECT count(*) FROM trees");
  CHECK(store.sweep({.max_bytes = 100'000}, 0) > 8);
  CHECK(log() > 100'000);
  reader.roll_back();
  CHECK(store.sweep({.max_bytes = 100'000}, 0) == 0);
  CHECK(log() == 0);
}

TEST_CASE_METHOD(store_in_folder, "threads of a finished tree take no room of their own",
                 "[trainer]") {
  accept_all(store, {"a"});
  write(store, [&] { store.record("a", thread_of("/", 200'000)); });
  CHECK(store.counts().bytes > 2'000'000);
  finish_all(store, {"a"});
  write(store, [&] { store.record("a", thread_of("/", 200'000)); });
  store.sweep({}, 0);
  CHECK(store.counts().bytes < 500'000);
}

} // namespace
} // namespace banyan
