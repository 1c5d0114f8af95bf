#include "trainer/tree_store.hpp"

#include "solver/records.hpp"
#include "solver/trace.hpp"
#include "tests/file_limit.hpp"
#include "tests/scratch_folder.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <optional>
#include <random>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using ids = std::vector<std::string>;

const problem some_problem{{5, 50, 79, 27}, 62};

solve_request request_of(std::string id) {
  solve_request r;
  r.id = std::move(id);
  r.problem = some_problem;
  r.labels = {{"run", "a"}};
  r.sampling.seed = 7;
  return r;
}

segment sampled(segment_kind kind, std::size_t tokens) {
  segment s{.kind = kind, .text = std::string(4 * tokens, 'w')};
  s.ids.assign(tokens, 77);
  s.logprobs.assign(tokens, -0.5F);
  s.epochs.assign(tokens, 3);
  return s;
}

/// A thread that has written so much and waits for a child.
thread_record thread_of(const std::string& path, std::size_t tokens = 10) {
  thread_record t;
  t.path = path;
  t.depth = path == "/" ? 0 : static_cast<std::uint32_t>(std::ranges::count(path, '/'));
  t.phase = thread_phase::waiting;
  t.pool = "cpu:0";
  t.segments = {{.kind = segment_kind::prompt, .text = "p", .ids = {1, 2}},
                sampled(segment_kind::written, tokens),
                sampled(segment_kind::spawn, 2)};
  return t;
}

/// What `request_of` became.
tree finished_tree_of(std::string id, std::int64_t created_ms = 1000, std::size_t tokens = 10) {
  tree t;
  t.id = std::move(id);
  t.problem = some_problem;
  t.prompt = root_prompt(t.problem);
  t.labels = {{"run", "a"}};
  t.phase = tree_phase::done;
  t.outcome = {true, true, {"50/5=10"}, "solution"};
  t.created_ms = created_ms;
  t.finished_ms = created_ms + 500;
  t.weights_epoch = 3;
  t.wall_ms = 499.5;
  t.threads = {thread_of("/", tokens), thread_of("/0", tokens)};
  t.threads[0].rounds = 1;
  t.threads[1].solution = "solution";
  return t;
}

void write(tree_store& store, const std::function<void()>& what) {
  store.begin();
  what();
  store.commit();
}

void accept_all(tree_store& store, const ids& names, std::int64_t created_ms = 1000) {
  write(store, [&] {
    for (const auto& id : names) store.accept(request_of(id), created_ms++);
  });
}

void finish_all(tree_store& store, const ids& names, std::int64_t created_ms = 1000) {
  write(store, [&] {
    for (const auto& id : names) store.finish(finished_tree_of(id, created_ms++));
  });
}

ids names_of(const std::vector<tree>& trees) {
  ids names;
  for (const auto& t : trees) names.push_back(t.id);
  return names;
}

ids listed(const tree_store& store, const tree_filter& filter = {}) {
  return names_of(store.list(filter));
}

ids visited(const tree_store& store, const tree_filter& filter = {}) {
  ids names;
  store.for_each(filter, [&](tree&& t) {
    names.push_back(t.id);
    return true;
  });
  return names;
}

ids unfinished_names(const tree_store& store) {
  ids names;
  for (const auto& t : store.unfinished()) names.push_back(t.request.id);
  return names;
}

ids paths_of(const std::vector<thread_record>& threads) {
  ids paths;
  for (const auto& t : threads) paths.push_back(t.path);
  return paths;
}

void check_same(const std::optional<tree>& a, const tree& b) {
  REQUIRE(a);
  CHECK(encode_tree(*a) == encode_tree(b));
}

std::string_view name_of(store_error::kind k) {
  switch (k) {
  case store_error::kind::full: return "full";
  case store_error::kind::locked: return "locked";
  case store_error::kind::damaged: return "damaged";
  case store_error::kind::newer: return "newer";
  case store_error::kind::io: return "io";
  }
  return "unknown";
}

/// Why it failed; that it says so in one line with the file and a remedy is checked here.
template <class Action>
std::string_view trouble_with(const std::filesystem::path& file, Action action) {
  try {
    action();
  } catch (const store_error& why) {
    INFO(why.what());
    const std::string text = why.what();
    CHECK(text.starts_with(file.string() + ": "));
    CHECK(text.find("; ") != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    return name_of(why.why);
  }
  return "none";
}

struct store_in_folder {
  scratch_folder folder;
  std::filesystem::path file = folder / "trees.db";
  std::optional<tree_store> opened{std::in_place, file};
  tree_store& store = *opened;

  /// As after a restart.
  void reopen(store_options options = {}) {
    opened.reset();
    opened.emplace(file, options);
  }
};

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

TEST_CASE_METHOD(store_in_folder, "pages make up the list", "[trainer]") {
  accept_all(store, {"c", "a"}, 1000);
  accept_all(store, {"e", "b", "d"}, 1000); // as old as those: later accepted is newer
  finish_all(store, {"a", "b"});
  CHECK(listed(store) == ids{"d", "b", "a", "e", "c"});
  CHECK(listed(store, {.limit = 2}) == ids{"d", "b"});
  CHECK(listed(store, {.after = "b", .limit = 2}) == ids{"a", "e"});
  CHECK(listed(store, {.after = "e", .limit = 2}) == ids{"c"});
  CHECK(listed(store, {.after = "c"}).empty());
  CHECK_THROWS_AS(listed(store, {.after = "nobody"}), std::invalid_argument);
  CHECK(listed(store, {.limit = 0}).empty());
  CHECK(visited(store) == ids{"c", "e", "a", "b", "d"});
  CHECK(visited(store, {.after = "e", .limit = 2}) == ids{"a", "b"});
  CHECK_THROWS_AS(visited(store, {.after = "nobody"}), std::invalid_argument);
}

TEST_CASE_METHOD(store_in_folder, "trees are visited whole until one is enough", "[trainer]") {
  ids names;
  for (int i = 0; i < 200; ++i) names.push_back("t" + std::to_string(i));
  finish_all(store, names);
  CHECK(visited(store, {.limit = SIZE_MAX}) == names);
  CHECK(visited(store, {.limit = 150}).size() == 150);
  int count = 0;
  store.for_each({}, [&](tree&& t) {
    check_same(t, finished_tree_of(names[static_cast<std::size_t>(count)], 1000 + count));
    return ++count < 3;
  });
  CHECK(count == 3);
}

TEST_CASE_METHOD(store_in_folder, "who visits trees may use the store", "[trainer]") {
  finish_all(store, {"a", "b"});
  store.for_each({}, [&](tree&& t) {
    CHECK(store.find(t.id));
    accept_all(store, {t.id + "'"}, 500);
    CHECK(visited(store).size() > 2);
    return true;
  });
  CHECK(store.counts().unfinished == 2);
}

/// A store of trees that differ in all that is searched by, and the same trees in the order of
/// their acceptance.
std::vector<tree> fill(tree_store& store, std::mt19937& random) {
  std::vector<tree> trees;
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  store.begin();
  for (int i = 0; i < 300; ++i) {
    auto request = request_of("t" + std::to_string(i));
    request.task = below(4) == 0 ? "other" : "countdown";
    request.labels = {{"run", std::string(1, static_cast<char>('a' + below(3)))}};
    if (below(2) == 0) request.labels["user"] = std::to_string(below(2));
    const auto created_ms = 1000 + below(100);
    store.accept(request, created_ms);
    auto phase = static_cast<tree_phase>(below(6));
    auto t = finished_tree_of(request.id, created_ms);
    t.task = request.task, t.labels = request.labels, t.phase = phase;
    t.outcome.solved = phase == tree_phase::done && below(2) == 0;
    phase >= tree_phase::done ? store.finish(t) : store.set_state(t.id, phase);
    trees.push_back(std::move(t));
  }
  store.commit();
  return trees;
}

tree_filter random_filter(std::mt19937& random) {
  tree_filter f;
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  while (below(2) == 0) f.states.push_back(static_cast<tree_phase>(below(6)));
  const auto run = [&] { return std::string(1, static_cast<char>('a' + below(3))); };
  if (below(2) == 0) f.labels.emplace("run", run());
  if (below(8) == 0) f.labels.emplace("run", run());
  if (below(3) == 0) f.labels.emplace("user", std::to_string(below(2)));
  if (below(3) == 0) f.solved = below(2) == 0;
  if (below(3) == 0) f.task = below(2) == 0 ? "other" : "countdown";
  if (below(3) == 0) f.created_from_ms = 1000 + below(100);
  if (below(3) == 0) f.created_before_ms = below(8) == 0 ? 0 : 1000 + below(100);
  f.limit = static_cast<std::size_t>(1 + below(20));
  return f;
}

bool lets_through(const tree_filter& f, const tree& t) {
  const bool finished = t.phase >= tree_phase::done;
  const auto has = [&](const auto& label) {
    const auto found = t.labels.find(label.first);
    return found != t.labels.end() && found->second == label.second;
  };
  return (f.states.empty() || std::ranges::find(f.states, t.phase) != f.states.end())
         && std::ranges::all_of(f.labels, has)
         && (!f.solved || (finished && *f.solved == t.outcome.solved))
         && (f.task.empty() || f.task == t.task)
         && (f.created_from_ms == 0 || t.created_ms >= f.created_from_ms)
         && (!f.created_before_ms || t.created_ms < *f.created_before_ms);
}

TEST_CASE_METHOD(store_in_folder, "every combination of filters finds what it describes",
                 "[trainer]") {
  std::mt19937 random(1);
  auto trees = fill(store, random);
  std::ranges::stable_sort(trees, {}, &tree::created_ms);
  std::size_t found = 0;
  for (int i = 0; i < 300; ++i) {
    auto filter = random_filter(random);
    ids expected;
    for (const auto& t : trees)
      if (lets_through(filter, t)) expected.push_back(t.id);
    found += expected.size();
    ids paged;
    for (auto page = listed(store, filter); !page.empty(); page = listed(store, filter)) {
      REQUIRE(page.size() <= filter.limit);
      std::ranges::copy(page, std::back_inserter(paged));
      filter.after = page.back();
    }
    std::ranges::reverse(paged);
    REQUIRE(paged == expected);
    filter.after.clear();
    filter.limit = SIZE_MAX;
    REQUIRE(visited(store, filter) == expected);
  }
  CHECK(found > 3000);
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

/// Each of about 100 kB, in several transactions.
void finish_large(tree_store& store, int count, int first = 0) {
  for (int i = first; i < first + count; ++i)
    write(store, [&] { store.finish(finished_tree_of("t" + std::to_string(i), 1000 + i, 3800)); });
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

// ---- several users

TEST_CASE_METHOD(store_in_folder, "a second writer waits for the first one", "[trainer]") {
  tree_store second(file, {.busy_s = 60});
  store.begin();
  store.accept(request_of("a"), 1000);
  std::atomic<bool> begins = false;
  std::jthread other([&] {
    begins = true;
    begins.notify_one();
    accept_all(second, {"b"});
  });
  begins.wait(false);
  store.commit();
  other.join();
  CHECK(store.counts().unfinished == 2);
}

TEST_CASE_METHOD(store_in_folder, "a file that stays locked is typed trouble", "[trainer]") {
  tree_store second(file, {.busy_s = 0.01});
  store.begin();
  store.accept(request_of("a"), 1000);
  CHECK(trouble_with(file, [&] { second.begin(); }) == "locked");
  CHECK(second.counts().unfinished == 0); // reading goes on
  store.commit();
  accept_all(second, {"b"});
  CHECK(store.counts().unfinished == 2);
}

TEST_CASE_METHOD(store_in_folder, "who only reads cannot write", "[trainer]") {
  accept_all(store, {"a"});
  tree_store reader(file, {.read_only = true});
  CHECK(listed(reader) == ids{"a"});
  CHECK(trouble_with(file, [&] { accept_all(reader, {"b"}); }) == "io");
  accept_all(store, {"b"}, 2000);
  CHECK(listed(reader) == ids{"b", "a"});
}

/// Another process: runs `work` and ends with 0 unless it throws.
class process {
public:
  template <class Work>
  explicit process(Work work) : id_(::fork()) {
    if (id_ != 0) return;
    int code = 0;
    try {
      work();
    } catch (...) {
      code = 1;
    }
    ::_exit(code);
  }
  process(const process&) = delete;
  ~process() { end(SIGKILL); }

  void kill() { end(SIGKILL); }
  bool succeeds() {
    const int status = end(0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

private:
  int end(int signal) {
    int status = -1;
    if (id_ <= 0) return status;
    if (signal != 0) ::kill(id_, signal);
    ::waitpid(std::exchange(id_, 0), &status, 0);
    return status;
  }

  pid_t id_;
};

TEST_CASE("processes that open a new file at once all write to it", "[trainer]") {
  const scratch_folder folder;
  for (int round = 0; round < 10; ++round) {
    const auto file = folder / ("trees" + std::to_string(round)).c_str();
    {
      std::vector<std::unique_ptr<process>> writers;
      for (int i = 0; i < 6; ++i)
        writers.push_back(std::make_unique<process>([&] {
          tree_store store(file, {.busy_s = 60});
          accept_all(store, {std::to_string(i)});
        }));
      for (auto& w : writers) REQUIRE(w->succeeds());
    }
    REQUIRE(tree_store(file).counts().unfinished == 6);
  }
}

TEST_CASE_METHOD(store_in_folder, "another process reads whole transactions while one writes",
                 "[trainer]") {
  constexpr int num_pairs = 200;
  process reader([&] {
    const tree_store theirs(file, {.read_only = true, .busy_s = 60});
    for (std::size_t seen = 0; seen < 2 * num_pairs;) {
      const auto trees = visited(theirs, {.limit = SIZE_MAX});
      const auto listed = theirs.list({.limit = SIZE_MAX});
      if (listed.size() % 2 != 0 || listed.size() < trees.size()) throw std::logic_error("half");
      if (trees.size() < seen) throw std::logic_error("gone");
      seen = trees.size();
    }
  });
  for (int i = 0; i < num_pairs; ++i)
    finish_all(store, {"a" + std::to_string(i), "b" + std::to_string(i)}, 1000 + i);
  CHECK(reader.succeeds());
}

// ---- trouble

constexpr int trees_per_commit = 3;

/// Writes transactions, from number `first` on, until it is killed; tells each after its commit.
void write_until_killed(const std::filesystem::path& file, int first, int tell) {
  tree_store store(file, {.sync = first % 2 == 0});
  for (int i = first;; ++i) {
    store.begin();
    for (int j = 0; j < trees_per_commit; ++j) {
      const auto id = std::to_string(i) + "." + std::to_string(j);
      store.accept(request_of(id), i);
      store.record(id, thread_of("/", 200));
      if (j != 0) store.finish(finished_tree_of(id, i, 200));
    }
    store.commit();
    if (::write(tell, &i, sizeof i) != sizeof i) return;
  }
}

/// One life of a writer: returns the last transaction that it told of.
int killed_writer(const std::filesystem::path& file, int first, std::mt19937& random) {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  int last = first - 1;
  {
    process writer([&] { write_until_killed(file, first, told[1]); });
    ::close(told[1]);
    for (auto n = random() % 20; n > 0; --n)
      REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
    ::usleep(static_cast<useconds_t>(random() % 2000)); // anywhere between two commits
  }                                                     // killed here
  while (::read(told[0], &last, sizeof last) == sizeof last) {
  }
  ::close(told[0]);
  return last;
}

TEST_CASE("what was committed outlives the kill of its writer and nothing else does", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  std::mt19937 random(1);
  int next = 0, unknown = 0;
  for (int round = 0; round < 40; ++round) {
    const int told = killed_writer(file, next, random);
    const tree_store store(file);
    const auto counts = store.counts();
    const auto stored = static_cast<int>(counts.unfinished);
    REQUIRE(stored > told);
    REQUIRE(stored <= told + 2); // a commit whose word was on its way
    REQUIRE(counts.finished == counts.unfinished * (trees_per_commit - 1));
    unknown += stored == told + 2;
    next = stored;
  }
  CHECK(next > 100);
  const tree_store store(file);
  for (const auto& t : store.unfinished()) {
    REQUIRE(t.request.id.ends_with(".0"));
    REQUIRE(paths_of(t.threads) == ids{"/"});
  }
  store.for_each({.states = {tree_phase::done}, .limit = SIZE_MAX}, [](tree&& t) {
    const auto number = std::stoi(t.id);
    REQUIRE(encode_tree(t) == encode_tree(finished_tree_of(t.id, number, 200)));
    return true;
  });
  INFO("commits without a word: " << unknown);
}

std::uintmax_t largest_file(const scratch_folder& folder) {
  std::uintmax_t largest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    largest = std::max(largest, entry.file_size());
  return largest;
}

TEST_CASE_METHOD(store_in_folder, "a full disk is typed trouble and loses nothing", "[trainer]") {
  accept_all(store, {"first"});
  int written = 0;
  for (const int room : {0, 100, 5'000, 50'000, 500'000, 3'000'000}) {
    int lost = 0;
    {
      const file_limit limit(largest_file(folder) + static_cast<rlim_t>(room));
      const auto fill = [&] {
        for (;; ++written) finish_large(store, 1, written);
      };
      REQUIRE(trouble_with(file, fill) == "full");
      lost = written;
      CHECK(store.counts().finished == static_cast<std::uint64_t>(written)); // reading goes on
      CHECK_FALSE(store.find("t" + std::to_string(lost)));
    }
    finish_large(store, 1, written++);
    CHECK(store.find("t" + std::to_string(lost)));
  }
  reopen();
  CHECK(unfinished_names(store) == ids{"first"});
  REQUIRE(store.counts().finished == static_cast<std::uint64_t>(written));
  for (int i = 0; i < written; ++i)
    check_same(store.find("t" + std::to_string(i)),
               finished_tree_of("t" + std::to_string(i), 1000 + i, 3800));
}

TEST_CASE_METHOD(store_in_folder, "a transaction too large for the disk ends as a whole",
                 "[trainer]") {
  accept_all(store, {"first"});
  {
    const file_limit limit(10'000'000);
    store.begin();
    const auto fill = [&] {
      for (int i = 0;; ++i) store.finish(finished_tree_of("t" + std::to_string(i), i, 3800));
    };
    REQUIRE(trouble_with(file, fill) == "full");
    CHECK(listed(store) == ids{"first"});
    accept_all(store, {"second"}, 2000);
  }
  reopen();
  CHECK(listed(store) == ids{"second", "first"});
}

TEST_CASE("a disk that is full from the start is typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  for (const int room : {0, 100, 5'000, 20'000}) {
    const file_limit limit(static_cast<rlim_t>(room));
    CHECK(trouble_with(file, [&] { tree_store{file}; }) == "full");
  }
  CHECK(tree_store(file).counts().finished == 0);
}

TEST_CASE("a place where no file can be is typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto missing = folder / "missing" / "trees.db";
  CHECK(trouble_with(missing, [&] { tree_store{missing}; }) == "io");
  CHECK(trouble_with(folder.path(), [&] { tree_store{folder.path()}; }) == "io");
  const auto unread = folder / "trees.db";
  CHECK(trouble_with(unread, [&] { tree_store(unread, {.read_only = true}); }) == "io");
  CHECK_FALSE(std::filesystem::exists(unread));
}

TEST_CASE("a name that looks like an address is a name", "[trainer]") {
  const scratch_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  finish_all(*std::make_unique<tree_store>("file:trees?mode=memory"), {"a"});
  std::filesystem::current_path(before);
  CHECK(listed(tree_store(folder / "file:trees?mode=memory")) == ids{"a"});
}

/// The bytes of a store with a few hundred pages, and nothing in its log.
std::string bytes_of_store(const scratch_folder& folder) {
  {
    tree_store store(folder / "trees.db");
    accept_all(store, {"a", "b", "c"});
    finish_large(store, 12);
  }
  return folder.read("trees.db");
}

/// Both are numbers of four bytes, the highest first.
constexpr std::size_t offset_of_version = 60, offset_of_application = 68;

TEST_CASE("a file of a newer version is refused and stays as it is", "[trainer]") {
  const scratch_folder folder;
  auto bytes = bytes_of_store(folder);
  ++bytes[offset_of_version + 3];
  folder.write("trees.db", bytes);
  for (const bool read_only : {false, true})
    CHECK(trouble_with(folder / "trees.db",
                       [&] { tree_store(folder / "trees.db", {.read_only = read_only}); })
          == "newer");
  CHECK((folder.read("trees.db") == bytes));
}

TEST_CASE("a file of something else is refused and stays as it is", "[trainer]") {
  const scratch_folder folder;
  auto other = bytes_of_store(folder);
  ++other[offset_of_application];
  for (const auto& bytes : {other, std::string(100'000, 'x'), std::string("text\n")}) {
    folder.write("trees.db", bytes);
    CHECK(trouble_with(folder / "trees.db", [&] { tree_store(folder / "trees.db"); }) == "damaged");
    CHECK((folder.read("trees.db") == bytes));
  }
}

TEST_CASE("an empty file becomes a store but not for who only reads", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  folder.write("trees.db", "");
  CHECK(trouble_with(file, [&] { tree_store(file, {.read_only = true}); }) == "io");
  finish_all(*std::make_unique<tree_store>(file), {"a"});
  CHECK(listed(tree_store(file)) == ids{"a"});
}

/// All that can be asked of a store.
void use(const std::filesystem::path& file) {
  tree_store store(file);
  store.list({.limit = SIZE_MAX});
  store.list({.labels = {{"run", "a"}}, .limit = SIZE_MAX});
  visited(store, {.limit = SIZE_MAX});
  store.unfinished();
  store.counts();
  accept_all(store, {"new"});
  finish_large(store, 1, 100);
  store.sweep({.max_bytes = 1}, 0);
}

TEST_CASE("a damaged file does no worse than typed trouble", "[trainer]") {
  const scratch_folder folder;
  const auto file = folder / "trees.db";
  const auto whole = bytes_of_store(folder);
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 100; ++round) {
    auto bytes = whole;
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    for (auto n = round % 3 == 0 ? 0 : 1 + random() % 20; n > 0; --n) {
      const auto at =
          4096 * (random() % (bytes.size() / 4096)) + random() % 200; // where trees hang
      bytes[at] = static_cast<char>(random());
    }
    folder.write("trees.db", bytes);
    const auto why = trouble_with(file, [&] { use(file); });
    for (const auto* log : {"trees.db-wal", "trees.db-shm"}) std::filesystem::remove(folder / log);
    refused += why == "damaged";
    REQUIRE((why != "full" && why != "locked"));
  }
  CHECK(refused > 30);
}

} // namespace
} // namespace banyan
