#include "actors/tree_ids.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

namespace banyan {
namespace {

TEST_CASE("ids have 26 characters of base 32", "[actors]") {
  const auto id = tree_ids(1).next(1700000000000);
  CHECK(id.size() == 26);
  CHECK(id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ") == std::string::npos);
  CHECK(id.substr(0, 10) == "01HF7YAT00"); // 1700000000000 in base 32
}

TEST_CASE("ids sort in the order in which they were made", "[actors]") {
  tree_ids ids(1);
  std::vector<std::string> made;
  for (const std::int64_t ms : {5, 5, 5, 6, 4, 4, 7})
    made.push_back(ids.next(ms)); // a clock set back
  CHECK(std::ranges::is_sorted(made));
  CHECK(std::set(made.begin(), made.end()).size() == made.size());
}

TEST_CASE("two sources make different ids in one millisecond", "[actors]") {
  CHECK(tree_ids(1).next(5) != tree_ids(2).next(5));
  CHECK(tree_ids(1).next(5) == tree_ids(1).next(5));
}

TEST_CASE("what is made as an id is one and nothing else", "[actors]") {
  const auto id = tree_ids(1).next(5);
  CHECK(is_tree_id(id));
  for (const auto& other : {std::string(), id + "0", id.substr(1), id.substr(1) + "\n",
                            id.substr(1) + "u", id.substr(1) + "U", "x\n" + id})
    CHECK_FALSE(is_tree_id(other));
}

} // namespace
} // namespace banyan
