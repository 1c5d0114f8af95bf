#include "actors/tree_queue.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

queued_tree tree_of(const std::string& id, bool paused = false) {
  static std::uint64_t came = 0;
  queued_tree t;
  t.family = ++came;
  t.work.request.id = id;
  if (paused) t.work.halted = {"/"};
  return t;
}

void pause(tree_work& work) { work.halted.insert("/"); }
void resume(tree_work& work) { work.halted.clear(); }

std::string id_of(const std::optional<queued_tree>& t) { return t ? t->work.request.id : "none"; }

TEST_CASE("trees leave the queue in the order in which they came", "[actors]") {
  tree_queue queue;
  for (const auto* id : {"b", "a", "c"}) queue.add(tree_of(id));
  CHECK(queue.size() == 3);
  for (const auto* id : {"b", "a", "c", "none"}) CHECK(id_of(queue.take_next()) == id);
}

TEST_CASE("a tree is found and taken by its id", "[actors]") {
  tree_queue queue;
  for (const auto* id : {"a", "b", "c"}) queue.add(tree_of(id));
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
  queue.add(tree_of("a", true));
  queue.add(tree_of("b"));
  queue.add(tree_of("c"));
  queue.change("c", pause);
  queue.change("c", pause);
  CHECK(queue.num_paused() == 2);
  CHECK(id_of(queue.take_next()) == "b");
  CHECK(id_of(queue.take_next()) == "none");
  queue.change("c", resume);
  CHECK(id_of(queue.take_next()) == "c");
  CHECK(id_of(queue.take("a")) == "a");
  CHECK(queue.num_paused() == 0);
}

TEST_CASE("a tree that is resumed or comes back has its place again", "[actors]") {
  tree_queue queue;
  for (const auto* id : {"a", "b", "c", "d"}) queue.add(tree_of(id));
  queue.change("b", pause);
  auto first = queue.take_next();
  queue.change("b", resume);
  queue.add(std::move(*first));
  queue.change("d", pause);
  std::string order;
  for (const auto& t : queue.take_all()) order += t.work.request.id;
  CHECK(order == "abcd");
  CHECK(queue.size() == 0);
  CHECK(queue.num_paused() == 0);
}

} // namespace
} // namespace banyan
