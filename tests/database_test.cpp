#include "trainer/database.hpp"

#include "solver/records.hpp"
#include "solver/trace.hpp"
#include "tests/scratch_folder.hpp"
#include "trainer/tree_store.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>

namespace banyan {
namespace {

namespace fs = std::filesystem;
using numbers = std::vector<std::int64_t>;

// ---- any file

constexpr const char* make_a = "CREATE TABLE a(x INTEGER) STRICT; INSERT INTO a VALUES(1), (2);";
constexpr const char* add_column = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7;";
constexpr const char* double_all = "UPDATE a SET x=2*x; INSERT INTO a(x) VALUES(9);";
constexpr const char* fail_midway = "UPDATE a SET x=0; CREATE TABLE b(z); SELECT * FROM nowhere;";

constexpr const char* just_one[] = {make_a};
constexpr const char* all_three[] = {make_a, add_column, double_all};
constexpr const char* broken[] = {make_a, add_column, fail_midway};

database::schema of(std::span<const char* const> steps) { return {77, "thing", steps}; }

numbers column(database& file, std::string_view select) {
  numbers values;
  statement(file, select).each({}, [&](const auto& row) { values.push_back(row.number(0)); });
  return values;
}

numbers column(const fs::path& path, std::span<const char* const> steps, std::string_view select) {
  database file(path, {}, of(steps));
  return column(file, select);
}

store_error::kind trouble_with(const fs::path& path, std::span<const char* const> steps,
                               store_options options = {}) {
  try {
    database(path, options, of(steps));
  } catch (const store_error& why) {
    INFO(why.what());
    CHECK(std::string(why.what()).starts_with(path.string() + ": "));
    CHECK(std::string(why.what()).find("; ") != std::string::npos);
    return why.why;
  }
  FAIL("it was opened");
  return {};
}

TEST_CASE("a new file and those beside it are for their owner alone", "[trainer]") {
  const scratch_folder folder;
  const auto before = ::umask(022);
  const database file(folder / "thing.db", {}, of(just_one));
  ::umask(before);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    INFO(entry.path());
    CHECK(entry.status().permissions() == fs::perms(0600));
    ++files;
  }
  CHECK(files == 3); // its log and that one's index
}

TEST_CASE("an old file goes through all versions up to the newest", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  CHECK(column(path, just_one, "SELECT x FROM a") == numbers{1, 2});
  CHECK(column(path, all_three, "SELECT x FROM a") == numbers{2, 4, 9});
  CHECK(column(path, all_three, "SELECT y FROM a") == numbers{7, 7, 7});
  CHECK(column(path, all_three, "PRAGMA user_version") == numbers{3});
}

TEST_CASE("a migration that fails midway leaves the file as it was", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  database(path, {}, of(just_one));
  CHECK(trouble_with(path, broken) == store_error::kind::damaged);
  CHECK(column(path, just_one, "SELECT x FROM a") == numbers{1, 2});
  CHECK(column(path, just_one, "SELECT count(*) FROM sqlite_schema") == numbers{1});
  CHECK(column(path, just_one, "SELECT count(*) FROM pragma_table_info('a')") == numbers{1});
  CHECK(column(path, all_three, "SELECT x FROM a") == numbers{2, 4, 9}); // nothing is in its way
}

TEST_CASE("a new file whose making fails is still empty", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  CHECK(trouble_with(path, broken) == store_error::kind::damaged);
  CHECK(column(path, just_one, "SELECT x FROM a") == numbers{1, 2});
}

TEST_CASE("nobody opens a file of a newer version", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  database(path, {}, of(all_three));
  CHECK(trouble_with(path, just_one) == store_error::kind::newer);
  CHECK(column(path, all_three, "SELECT x FROM a") == numbers{2, 4, 9});
}

TEST_CASE("who only reads does not migrate", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  database(path, {}, of(just_one));
  CHECK(trouble_with(path, all_three, {.read_only = true}) == store_error::kind::io);
  CHECK(column(path, just_one, "SELECT x FROM a") == numbers{1, 2});
}

TEST_CASE("an old file that many open at once is migrated once", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "thing.db";
  database(path, {}, of(just_one));
  std::vector<numbers> seen(8);
  {
    std::vector<std::jthread> openers;
    for (auto& mine : seen)
      openers.emplace_back([&] { mine = column(path, all_three, "SELECT x FROM a"); });
  }
  for (const auto& one : seen) CHECK(one == numbers{2, 4, 9});
}

// ---- tree stores

/// As it was; an old file has exactly this.
constexpr const char* first_tree_store[] = {R"(
  CREATE TABLE trees(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, state TEXT NOT NULL,
    created_ms INTEGER NOT NULL, finished_ms INTEGER, solved INTEGER, claimed INTEGER, failure TEXT,
    wall_ms REAL, threads INTEGER, generated_tokens INTEGER, weights_epoch INTEGER, outline BLOB,
    request BLOB, tree BLOB
  ) STRICT;
  CREATE INDEX trees_by_created ON trees(created_ms);
  CREATE INDEX trees_by_state ON trees(state, created_ms);
  CREATE INDEX trees_by_task ON trees(task, created_ms);
  CREATE INDEX trees_by_solved ON trees(solved, created_ms) WHERE solved IS NOT NULL;
  CREATE INDEX trees_by_finished ON trees(finished_ms) WHERE finished_ms IS NOT NULL;
  CREATE TABLE labels(
    name TEXT NOT NULL, value TEXT NOT NULL, created_ms INTEGER NOT NULL,
    tree INTEGER NOT NULL REFERENCES trees(seq) ON DELETE CASCADE,
    PRIMARY KEY(name, value, created_ms, tree)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX labels_by_tree ON labels(tree);
  CREATE TABLE threads(
    tree INTEGER NOT NULL REFERENCES trees(seq) ON DELETE CASCADE, path TEXT NOT NULL,
    record BLOB NOT NULL, UNIQUE(tree, path)
  ) STRICT;
)"};

constexpr database::schema first_version{0x42616e79, "tree store", first_tree_store};

thread_record thread_of(const std::string& path) {
  thread_record t;
  t.path = path;
  t.depth = path == "/" ? 0 : static_cast<std::uint32_t>(std::ranges::count(path, '/'));
  t.phase = thread_phase::waiting;
  t.segments = {{segment_kind::prompt, "p", {1, 2}, {}, {}}};
  return t;
}

solve_request request_of(const std::string& id) {
  solve_request r;
  r.id = id;
  r.problem = {{5, 50, 79, 27}, 62};
  r.labels = {{"run", "a"}};
  return r;
}

tree finished_tree_of(const std::string& id) {
  tree t;
  t.id = id;
  t.problem = {{5, 50, 79, 27}, 62};
  t.prompt = root_prompt(t.problem);
  t.labels = {{"run", "a"}};
  t.phase = tree_phase::done;
  t.outcome = {true, true, {"50/5=10"}, "solution"};
  t.created_ms = 1000;
  t.finished_ms = 1500;
  t.threads = {thread_of("/"), thread_of("/0")};
  return t;
}

/// A finished tree, and one that goes on.
void write_old_store(const fs::path& path) {
  database file(path, {}, first_version);
  const auto done = finished_tree_of("done");
  const auto whole = encode_tree(done), outline = encode_tree(banyan::outline(done));
  statement(file, "INSERT INTO trees VALUES(1, 'done', 'countdown', 'done', 1000, 1500, 1, 1, NULL,"
                  " 499.5, 2, 0, 0, ?, NULL, ?)")
      .run({blob{outline}, blob{whole}});
  const auto request = encode_solve_request(request_of("open"));
  statement(file, "INSERT INTO trees(seq, id, task, state, created_ms, request)"
                  " VALUES(2, 'open', 'countdown', 'running', 2000, ?)")
      .run({blob{request}});
  file.run("INSERT INTO labels VALUES('run', 'a', 1000, 1), ('run', 'a', 2000, 2)");
  statement add(file, "INSERT INTO threads VALUES(2, ?, ?)");
  for (const std::string name : {"/", "/0"}) {
    const auto record = encode_thread(thread_of(name));
    add.run({name, blob{record}});
  }
}

std::vector<std::string> names(const std::vector<tree>& trees) {
  std::vector<std::string> ids;
  for (const auto& t : trees) ids.push_back(t.id);
  return ids;
}

TEST_CASE("a store of the first version keeps its trees and is searched as ever", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "trees.db";
  write_old_store(path);
  tree_store store(path);

  const auto done = store.find("done");
  REQUIRE(done);
  CHECK(encode_tree(*done) == encode_tree(finished_tree_of("done")));
  using ids = std::vector<std::string>;
  CHECK(names(store.list({})) == ids{"open", "done"});
  CHECK(names(store.list({.labels = {{"run", "a"}}})) == ids{"open", "done"});
  CHECK(names(store.list({.states = {tree_phase::running}})) == ids{"open"});
  CHECK(names(store.list({.solved = true})) == ids{"done"});
  CHECK(names(store.list({.created_from_ms = 1500})) == ids{"open"});
  CHECK(store.counts().finished == 1);

  auto open = store.unfinished();
  REQUIRE(open.size() == 1);
  CHECK(open[0].used_ms == 0); // nobody wrote it down
  CHECK(encode_solve_request(open[0].request) == encode_solve_request(request_of("open")));
  REQUIRE(open[0].threads.size() == 2);
  CHECK(encode_thread(open[0].threads[1]) == encode_thread(thread_of("/0")));

  store.begin();
  store.record("open", thread_of("/1"), 1234);
  store.finish(finished_tree_of("more"));
  store.commit();
  CHECK(store.unfinished()[0].used_ms == 1234);
  CHECK(store.unfinished()[0].threads.size() == 3);
  CHECK(names(store.list({.solved = true})).size() == 2);
}

TEST_CASE("a store that cannot be brought up to date stays as it was", "[trainer]") {
  const scratch_folder folder;
  const auto path = folder / "trees.db";
  write_old_store(path);
  const auto what_is_in_it = [&] {
    database file(path, {}, first_version);
    return std::vector{column(file, "PRAGMA user_version"), column(file, "SELECT seq FROM trees"),
                       column(file, "SELECT length(record) FROM threads")};
  };
  const auto before = what_is_in_it();
  database(path, {}, first_version).run("ALTER TABLE threads RENAME TO elsewhere");
  CHECK_THROWS_AS(tree_store(path), store_error);
  database(path, {}, first_version).run("ALTER TABLE elsewhere RENAME TO threads");
  CHECK(what_is_in_it() == before);
  CHECK(names(tree_store(path).list({})).size() == 2);
}

} // namespace
} // namespace banyan
