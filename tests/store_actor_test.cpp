#include "trainer/store_actor.hpp"

#include "solver/records.hpp"
#include "tests/deterministic_system.hpp"
#include "tests/file_limit.hpp"
#include "tests/scratch_folder.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

tree_accepted acceptance(std::string id) {
  auto request = std::make_shared<solve_request>();
  request->id = std::move(id);
  request->problem = {{42, 61, 66}, 47};
  return {std::move(request), 1};
}

/// A tree that ended long ago.
tree old_tree(std::string id) {
  tree t;
  t.id = std::move(id);
  t.problem = {{42, 61, 66}, 47};
  t.phase = tree_phase::done;
  t.created_ms = 1000, t.finished_ms = 2000;
  t.add("/").phase = thread_phase::done;
  return t;
}

/// One that wrote as many bytes.
finished_tree large_tree(const std::string& id, std::size_t bytes) {
  auto large = std::make_shared<tree>(old_tree(id));
  large->threads.front().segments = {{.kind = segment_kind::written, .text = {}}};
  large->threads.front().segments.front().text.assign(bytes, 'w');
  return {std::move(large)};
}

struct store_system : deterministic_system {
  scratch_folder folder;
  tree_store_actor store;

  ~store_system() {
    if (store) end(store);
  }

  tree_store file() const { return tree_store(folder / "trees.db"); }
};

TEST_CASE_METHOD(store_system, "what a store was given is on the disk before it ends",
                 "[trainer]") {
  store = spawn_store(sys, file(), {}, false);
  auto reply = self->request(store, caf::infinite, acceptance("last"));
  self->send(std::exchange(store, nullptr), atom::drain_v); // before it has written
  run();
  CHECK(running() == 0);
  CHECK(take<stored>(reply));
  CHECK(file().find("last"));
}

TEST_CASE_METHOD(store_system, "old trees go in parts and writers come in between", "[trainer]") {
  auto before = file();
  before.begin();
  for (int i = 0; i < 250; ++i) before.finish(old_tree("t" + std::to_string(i)));
  before.commit();

  using seen = std::pair<std::uint64_t, bool>; // trees left, and whether the new one is written
  std::vector<seen> at_each;
  const auto keep = [&] {
    at_each.emplace_back(before.counts().finished, before.find("new").has_value());
    return retention{.max_age_s = 3600};
  };
  store = spawn_store(sys, file(), {keep}, false);
  auto reply = self->request(store, caf::infinite, acceptance("new"));
  run();
  CHECK(take<stored>(reply));
  CHECK(at_each == std::vector<seen>{{250, false}, {150, false}, {50, true}, {0, true}});
  advance(std::chrono::minutes(1));
  CHECK(at_each.size() == 5);
}

TEST_CASE_METHOD(store_system, "an outage of the store is told when it begins and when it is over",
                 "[trainer]") {
  auto other = file();
  std::vector<std::string> told;
  store_actor_options options;
  options.log = [&](std::string_view line, std::string_view) { told.emplace_back(line); };
  options.on_trouble = [&](const std::string& now) { told.push_back("now: " + now); };
  store = spawn_store(sys, tree_store(folder / "trees.db", {.busy_s = 0.001}), options, false);
  const auto is_stored = [&](std::string id) {
    auto reply = self->request(store, caf::infinite, acceptance(std::move(id)));
    run();
    advance(std::chrono::seconds(11));
    return bool(take<stored>(reply));
  };
  other.begin(); // nobody else can write
  CHECK_FALSE(is_stored("a"));
  CHECK_FALSE(is_stored("b"));
  REQUIRE(told.size() == 2);
  CHECK_THAT(told[0], Catch::Contains("trees.db"));
  CHECK(told[1] == "now: " + told[0]);
  other.roll_back();
  CHECK(is_stored("c"));
  CHECK(is_stored("d"));
  REQUIRE(told.size() == 3);
  CHECK(told[2] == "now: ");
}

/// A store that says how it is; its disk has no more room than a test lets it.
struct troubled_store : store_system {
  std::vector<std::string> told;
  std::vector<std::pair<std::string, std::string>> logged; // tree, line

  troubled_store() {
    store_actor_options options;
    options.on_trouble = [this](const std::string& trouble) { told.push_back(trouble); };
    options.log = [this](std::string_view line, std::string_view tree) {
      logged.emplace_back(tree, line);
    };
    store = spawn_store(sys, file(), std::move(options), false);
  }

  errc accept(const std::string& id) {
    const auto answer = ask<stored>(store, acceptance(id));
    return answer ? errc::none : errc_of(answer.error(), errc::child_lost);
  }
};

TEST_CASE_METHOD(troubled_store, "a store that nobody writes to finds out that it can write again",
                 "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  CHECK(told.empty());
  {
    const file_limit limit(std::filesystem::file_size(folder / "trees.db-wal"));
    CHECK(accept("b") == errc::not_stored);
    REQUIRE(told.size() == 1);
    CHECK(told[0].find("trees.db: ") != std::string::npos);
    CHECK(told[0].find("make room") != std::string::npos);
    for (int i = 0; i < 10; ++i) advance(std::chrono::seconds(1));
    CHECK(told.size() == 1);
    CHECK(ask<store_status>(store, atom::status_v)->trouble == told[0]);
  }
  advance(std::chrono::seconds(2));
  CHECK(told.size() == 2);
  CHECK(told.back() == "");
  for (int i = 0; i < 10; ++i) advance(std::chrono::seconds(1));
  CHECK(told.size() == 2);
  CHECK(accept("b") == errc::none);
}

TEST_CASE_METHOD(troubled_store, "room for a few bytes is no room for trees", "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  const auto size = std::filesystem::file_size(folder / "trees.db-wal");
  {
    const file_limit limit(size);
    REQUIRE(accept("b") == errc::not_stored);
  }
  const file_limit limit(size + 50'000);
  for (int i = 0; i < 10; ++i) advance(std::chrono::seconds(1));
  CHECK(told.size() == 1);
}

TEST_CASE_METHOD(troubled_store, "an outage lasts until what failed could be written",
                 "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  const auto finish = [this](const std::string& id) {
    return bool(ask<stored>(store, large_tree(id, 2'000'000)));
  };
  {
    const file_limit limit(std::filesystem::file_size(folder / "trees.db-wal") + 1'000'000);
    REQUIRE_FALSE(finish("b"));
    REQUIRE(told.size() == 1);
    for (int i = 0; i < 10; ++i) {
      CHECK(accept("small " + std::to_string(i)) == errc::none); // there is room for these
      advance(std::chrono::seconds(1));
    }
    CHECK(told.size() == 1);
    CHECK_FALSE(finish("b"));
    CHECK(told.size() == 1);
  }
  advance(std::chrono::seconds(2));
  CHECK(told.size() == 2);
  CHECK(told.back() == "");
  CHECK(finish("b"));
  CHECK(accept("c") == errc::none);
  CHECK(told.size() == 2);
}

TEST_CASE_METHOD(troubled_store, "what could be tried can be written", "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  auto other = file();
  const file_limit limit(std::filesystem::file_size(folder / "trees.db-wal") + 400'000);
  for (int i = 0; i < 5; ++i) CHECK_NOTHROW(other.try_writing(300'000)); // two would not fit
}

TEST_CASE_METHOD(troubled_store, "a write that succeeds says so at once", "[trainer]") {
  {
    const file_limit limit(0);
    REQUIRE(accept("a") == errc::not_stored);
  }
  CHECK(accept("a") == errc::none);
  CHECK(told.size() == 2);
  CHECK(told.back() == "");
}

TEST_CASE_METHOD(troubled_store, "a tree that is refused alone is named", "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  CHECK(accept("a") == errc::bad_request);
  REQUIRE(logged.size() == 1);
  CHECK(logged[0].first == "a");
  CHECK(told.empty());
}

TEST_CASE_METHOD(troubled_store, "a tree too large for a record is kept without its texts",
                 "[trainer]") {
  REQUIRE(accept("a") == errc::none);
  REQUIRE(ask<stored>(store, large_tree("a", max_record_bytes)));
  REQUIRE(logged.size() == 1);
  CHECK(logged[0].first == "a");
  CHECK_THAT(logged[0].second, Catch::Contains("kept without its texts"));
  CHECK(told.empty());
  const auto kept = file().find("a");
  REQUIRE(kept);
  CHECK(kept->phase == tree_phase::done);
  CHECK(kept->threads.front().text().empty());
}

} // namespace
} // namespace banyan
