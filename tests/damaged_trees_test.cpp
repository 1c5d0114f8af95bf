#include "tests/store_in_folder.hpp"
#include "trainer/tree_schema.hpp"

#include <map>

namespace banyan {
namespace {

/// A store that says which trees it left out.
struct damaged_store : store_in_folder {
  std::map<std::string, std::string> told; ///< of trees that were left out: why

  on_damage note() {
    return [this](const damaged_tree& one) { told[one.id] = one.what(); };
  }

  void damage(const char* sql) { database(file, {}, tree_schema).run(sql); }

  void accept_with_threads(const ids& names) {
    accept_all(store, names);
    write(store, [&] {
      for (const auto& id : names) store.record(id, thread_of("/"), 300);
    });
  }

  ids unfinished_but_damaged() {
    ids names;
    for (const auto& t : store.unfinished(note())) names.push_back(t.request.id);
    return names;
  }

  /// What is said of a tree that is asked for by its id.
  std::string asked_for(const std::string& id) {
    std::string said;
    CHECK(trouble_with(file,
                       [&] {
                         try {
                           store.find(id);
                         } catch (const damaged_tree& one) {
                           CHECK(one.id == id);
                           said = one.what();
                           throw;
                         }
                       })
          == "damaged");
    return said;
  }
};

TEST_CASE_METHOD(damaged_store, "a damaged thread costs its own tree and no other", "[trainer]") {
  accept_with_threads({"a", "b", "c"});
  const auto* sql =
      GENERATE(as<const char*>{}, "UPDATE threads SET record=x'00ff00ff' WHERE tree=2",
               "UPDATE trees SET request=x'00ff00ff' WHERE id='b'");
  damage(sql);
  CHECK(unfinished_but_damaged() == ids{"a", "c"});
  REQUIRE(told.size() == 1);
  CHECK(told.at("b") == asked_for("b"));
  CHECK(told.at("b").find(": tree b: ") != std::string::npos);
  CHECK_THROWS_AS(store.unfinished(), damaged_tree);
  CHECK(store.counts().unfinished == 3); // it stays where it is
  CHECK(store.find("c"));
  accept_all(store, {"d"}, 2000);
  CHECK(unfinished_but_damaged() == ids{"a", "c", "d"});
}

TEST_CASE_METHOD(damaged_store, "a page is full whatever it leaves out", "[trainer]") {
  finish_all(store, {"a", "b", "c", "d", "e"});
  damage("UPDATE trees SET outline=x'00ff00ff' WHERE id IN ('b', 'd')");
  CHECK(names_of(store.list({.limit = 2}, note())) == ids{"e", "c"});
  CHECK(told.size() == 1);
  CHECK(names_of(store.list({.after = "c", .limit = 2}, note())) == ids{"a"});
  CHECK(told.size() == 2);
  CHECK(names_of(store.list({.after = "d", .limit = 9}, note())) == ids{"c", "a"});
  CHECK_THROWS_AS(store.list({}), damaged_tree);
  check_same(store.find("b"), finished_tree_of("b", 1001)); // its outline alone is damaged
}

TEST_CASE_METHOD(damaged_store, "who visits trees meets all that are whole", "[trainer]") {
  finish_all(store, {"a", "b", "c"});
  accept_with_threads({"d", "e"});
  damage("UPDATE trees SET tree=x'00ff00ff' WHERE id='b'");
  damage("UPDATE threads SET record=x'00ff00ff' WHERE tree=4");
  ids met;
  store.for_each(
      {},
      [&](tree&& t) {
        met.push_back(t.id);
        return true;
      },
      note());
  std::ranges::sort(met);
  CHECK(met == ids{"a", "c", "e"});
  CHECK(told.size() == 2);
  CHECK(asked_for("b") == told.at("b"));
  CHECK_THROWS_AS(visited(store), damaged_tree);
}

/// Of a tree of many pages one cannot be found any more.
TEST_CASE_METHOD(damaged_store, "a page that is lost costs the tree that had it", "[trainer]") {
  finish_large(store, 3);
  opened.reset();
  auto bytes = folder.read("trees.db");
  constexpr std::size_t page = 4096;
  const auto text = bytes.find(std::string(200, 'w')); // of one of the trees
  REQUIRE(text != bytes.npos);
  bytes.replace(text / page * page, 4, "\xff\xff\xff\xff"); // where its next page is
  folder.write("trees.db", bytes);
  opened.emplace(file);
  std::size_t met = 0;
  store.for_each(
      {}, [&](tree&&) { return ++met > 0; }, note());
  CHECK(told.size() == 1);
  CHECK(met == 2);
}

TEST_CASE_METHOD(store_in_folder, "who tries to write leaves nothing behind", "[trainer]") {
  accept_all(store, {"a"});
  for (int i = 0; i < 3; ++i) store.try_writing(1'000'000);
  CHECK(unfinished_names(store) == ids{"a"});
  reopen();
  CHECK(listed(store) == ids{"a"});
}

} // namespace
} // namespace banyan
