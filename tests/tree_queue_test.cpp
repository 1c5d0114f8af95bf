#include "actors/tree_queue.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

queued_tree tree_of(const std::string& id, bool paused = false) {
  queued_tree t;
  t.work.request.id = id;
  if (paused) t.work.halted = {"/"};
  return t;
}

std::string id_of(const std::optional<queued_tree>& t) { return t ? t->work.request.id : "none"; }

TEST_CASE("trees leave the queue in the order in which they came", "[actors]") {
  tree_queue queue;
  for (const auto* id : {"b", "a", "c"}) queue.push_back(tree_of(id));
  CHECK(queue.size() == 3);
  for (const auto* id : {"b", "a", "c", "none"}) CHECK(id_of(queue.take_next()) == id);
}

TEST_CASE("a tree is found and taken by its id", "[actors]") {
  tree_queue queue;
  for (const auto* id : {"a", "b", "c"}) queue.push_back(tree_of(id));
  REQUIRE(queue.find("b"));
  CHECK(queue.find("b")->work.request.id == "b");
  CHECK(id_of(queue.take("b")) == "b");
  CHECK_FALSE(queue.find("b"));
  CHECK(id_of(queue.take("b")) == "none");
  CHECK(queue.take_all().size() == 2);
  CHECK(queue.size() == 0);
  CHECK_FALSE(queue.find("a"));
}

TEST_CASE("paused trees are passed over until they are resumed", "[actors]") {
  tree_queue queue;
  queue.push_back(tree_of("a", true));
  queue.push_back(tree_of("b"));
  queue.push_back(tree_of("c"));
  queue.set_paused("c", true);
  queue.set_paused("c", true);
  CHECK(queue.num_paused() == 2);
  CHECK(id_of(queue.take_next()) == "b");
  CHECK(id_of(queue.take_next()) == "none");
  queue.set_paused("c", false);
  CHECK(id_of(queue.take_next()) == "c");
  CHECK(id_of(queue.take("a")) == "a");
  CHECK(queue.num_paused() == 0);
}

TEST_CASE("parts that were paused with their tree go on with it", "[actors]") {
  tree_queue queue;
  auto tree = tree_of("a", true);
  tree.work.halted.insert("/0");
  queue.push_back(std::move(tree));
  queue.set_paused("a", false);
  CHECK(queue.num_paused() == 0);
  CHECK(queue.take_next()->work.halted.empty());
}

} // namespace
} // namespace banyan
