#include "tests/scratch_folder.hpp"
#include "trainer/tree_store.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <sqlite3.h>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using ids = std::vector<std::string>;
using labels = std::map<std::string, std::string>;

tree finished_tree(const std::string& id, std::int64_t created_ms, const labels& with = {}) {
  tree t;
  t.id = id;
  t.phase = tree_phase::done;
  t.outcome.solved = true;
  t.created_ms = created_ms;
  t.finished_ms = created_ms + 5;
  t.labels = with;
  t.add("/");
  return t;
}

solve_request request_of(const std::string& id, const labels& with = {}) {
  solve_request r;
  r.id = id;
  r.problem = {{5, 50, 79, 27}, 62};
  r.labels = with;
  return r;
}

struct searched_store {
  scratch_folder folder;
  tree_store store{folder / "trees.db", {.sync = false}};

  template <class Work>
  void write(Work work) {
    store.begin();
    work();
    store.commit();
  }

  ids listed(const tree_filter& filter) const {
    ids found;
    for (const auto& t : store.list(filter)) found.push_back(t.id);
    return found;
  }
};

// ---- two conditions

/// Counts the instructions of SQLite's machine in all files that are opened while it lives.
class sqlite_steps {
public:
  static inline std::uint64_t count = 0;

  sqlite_steps() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(look)); }
  ~sqlite_steps() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(look)); }
  sqlite_steps(const sqlite_steps&) = delete;
  sqlite_steps& operator=(const sqlite_steps&) = delete;

private:
  static int look(sqlite3* file, char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(file, SQLITE_TRACE_PROFILE, add, nullptr);
  }

  static int add(unsigned, void*, void* statement, void*) {
    count += static_cast<std::uint64_t>(sqlite3_stmt_status(
        static_cast<sqlite3_stmt*>(statement), SQLITE_STMTSTATUS_VM_STEP, /*resetFlg=*/1));
    return 0;
  }
};

/// Many unfinished trees that all have a label, and two finished ones among them: one with a rare
/// label, one that is not solved.
struct common_label : searched_store {
  explicit common_label(int count) {
    write([&] {
      for (int i = 0; i < count; ++i)
        store.accept(request_of("t" + std::to_string(i), {{"env", "prod"}}), 1000 + i);
      store.finish(finished_tree("rare", 1000 + count / 3, {{"env", "prod"}, {"run", "x"}}));
      auto failed = finished_tree("failed", 1000 + count / 2, {{"env", "prod"}});
      failed.outcome.solved = false;
      store.finish(failed);
    });
  }

  std::uint64_t steps_of(const tree_filter& filter) const {
    const auto before = sqlite_steps::count;
    store.list(filter);
    return sqlite_steps::count - before;
  }
};

TEST_CASE("two conditions take work for the rarer one whichever comes first", "[trainer]") {
  const sqlite_steps counted;
  const common_label few(300), many(30'000);
  const tree_filter none_runs{.states = {tree_phase::running}, .labels = {{"env", "prod"}}};
  const tree_filter not_solved{.labels = {{"env", "prod"}}, .solved = false};
  const tree_filter rare_label{.labels = {{"env", "prod"}, {"run", "x"}}};
  CHECK(many.listed(none_runs).empty());
  CHECK(many.listed(not_solved) == ids{"failed"});
  CHECK(many.listed(rare_label) == ids{"rare"});
  // A search through all of the label would take a hundred times as much.
  for (const auto* filter : {&none_runs, &not_solved, &rare_label}) {
    CHECK(few.steps_of(*filter) > 0);
    CHECK(many.steps_of(*filter) < 2 * few.steps_of(*filter));
  }
}

TEST_CASE_METHOD(searched_store, "conditions that leap over each other find what they share",
                 "[trainer]") {
  ids expected;
  write([&] {
    for (int i = 0; i < 500; ++i) {
      const bool both = i % 91 == 90;
      labels with;
      if (both || i / 50 % 2 == 0) with["a"] = "1";
      if (both || i / 50 % 2 == 1) with["b"] = "1";
      const auto id = "t" + std::to_string(i);
      store.finish(finished_tree(id, 1000 + i / 3, with)); // three of an age
      if (both) expected.insert(expected.begin(), id);
    }
  });
  const tree_filter both{.labels = {{"a", "1"}, {"b", "1"}}, .limit = 1000};
  CHECK(listed(both) == expected);
  ids visited;
  store.for_each(both, [&](tree&& t) {
    visited.insert(visited.begin(), t.id);
    return true;
  });
  CHECK(visited == expected);
}

// ---- pages

TEST_CASE_METHOD(searched_store, "a page goes on behind a tree that was dropped meanwhile",
                 "[trainer]") {
  write([&] {
    for (const auto* id : {"waits", "after", "last"}) store.accept(request_of(id), 1000);
    store.finish(finished_tree("gone", 1000)); // as old as those, and newer by its order
    store.accept(request_of("newer"), 1000);
    store.finish(finished_tree("newest", 2000));
  });
  REQUIRE(listed({.limit = 3}) == ids{"newest", "newer", "gone"});
  const tree_filter next{.after = "gone"};
  const ids rest{"last", "after", "waits"};
  CHECK(listed(next) == rest);
  CHECK(store.sweep({.max_age_s = 1}, 2500) == 1);
  REQUIRE(listed({}) == ids{"newest", "newer", "last", "after", "waits"});
  CHECK(listed(next) == rest);
  const tree_store again(folder / "trees.db", {.read_only = true});
  CHECK(again.list(next).size() == 3);
}

TEST_CASE_METHOD(searched_store, "the places of the last trees that were dropped are known",
                 "[trainer]") {
  write([&] {
    for (int i = 0; i < 10'010; ++i) store.finish(finished_tree("t" + std::to_string(i), 1000 + i));
    store.finish(finished_tree("stays", 1'000'000));
  });
  CHECK(store.sweep({.max_age_s = 1}, 100'000, 20'000) == 10'010);
  CHECK(listed({.after = "stays"}).empty());
  CHECK(listed({.after = "t10"}).empty());
  CHECK_THROWS_AS(listed({.after = "t9"}), std::invalid_argument);
  CHECK_THROWS_WITH(listed({.after = "nobody"}),
                    "after: tree 'nobody' is not known here; begin the list anew");
}

// ---- the gauge

TEST_CASE_METHOD(searched_store, "a gauge goes with all that a store commits", "[trainer]") {
  write([&] { store.accept(request_of("early"), 1000); });
  const auto gauge = store.gauge();
  const auto shows = [&](std::uint64_t finished, std::uint64_t unfinished) {
    const auto now = gauge->read(), counted = store.counts();
    CHECK(now.finished == finished);
    CHECK(now.unfinished == unfinished);
    CHECK(now.finished == counted.finished);
    CHECK(now.unfinished == counted.unfinished);
    CHECK(now.bytes == counted.bytes);
  };
  shows(0, 1);
  write([&] {
    store.accept(request_of("a", {{"member", "1"}}), 1000);
    store.accept(request_of("b"), 1000);
    CHECK_THROWS_AS(store.accept(request_of("b"), 1000), std::invalid_argument);
    CHECK(gauge->read().unfinished == 1); // not committed yet
  });
  shows(0, 3);
  write([&] {
    store.finish(finished_tree("b", 1000));
    store.finish(finished_tree("b", 1000)); // once more
    store.finish(finished_tree("new", 900'000));
  });
  shows(2, 2);
  store.begin();
  store.accept(request_of("never"), 1000);
  store.finish(finished_tree("early", 1000));
  store.roll_back();
  shows(2, 2);
  CHECK(store.forget_unfinished("member") == 1);
  shows(2, 1);
  CHECK(store.sweep({.max_age_s = 1}, 900'500) == 1);
  shows(1, 1);
}

} // namespace
} // namespace banyan
