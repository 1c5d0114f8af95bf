#include "trainer/tree_store.hpp"

#include "tests/store_in_folder.hpp"

#include <algorithm>
#include <iterator>
#include <random>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

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

} // namespace
} // namespace banyan
