#include "actors/join.hpp"

#include <catch2/catch.hpp>

namespace banyan {
namespace {

using namespace std::chrono_literals;
using kind = join_policy::kind;

child_result solved(const char* text) { return {text, errc::none}; }
child_result unsolved(errc why = errc::no_solution) { return {{}, why}; }

TEST_CASE("a join of all waits for the last child", "[actors]") {
  join j({kind::all}, 3);
  j.arrive(2, solved("c"));
  j.arrive(0, solved("a"));
  CHECK_FALSE(j.met());
  j.arrive(1, unsolved());
  CHECK(j.met());
  CHECK(j.losers().empty());
}

TEST_CASE("results keep the order of the spawn", "[actors]") {
  join j({kind::all}, 3);
  j.arrive(2, solved("c"));
  j.arrive(0, solved("a"));
  j.arrive(1, unsolved(errc::child_lost));
  CHECK(j.results()[0].solution == "a");
  CHECK(j.results()[1].failure == errc::child_lost);
  CHECK(j.results()[2].solution == "c");
}

TEST_CASE("a join of the first success goes on past failures", "[actors]") {
  join j({kind::first_success}, 4);
  j.arrive(1, unsolved());
  CHECK_FALSE(j.met());
  j.arrive(3, solved("d"));
  CHECK(j.met());
  CHECK(j.losers() == std::vector<std::size_t>{0, 2});
  CHECK(j.results()[0].failure == errc::cancelled);
}

TEST_CASE("a join of the first success ends when everybody failed", "[actors]") {
  join j({kind::first_success}, 2);
  j.arrive(0, unsolved());
  j.arrive(1, unsolved());
  CHECK(j.met());
}

TEST_CASE("a join of k waits for the kth success", "[actors]") {
  join j({kind::k_of_n, 2}, 4);
  j.arrive(0, solved("a"));
  j.arrive(1, unsolved());
  CHECK_FALSE(j.met());
  j.arrive(3, solved("d"));
  CHECK(j.met());
  CHECK(j.losers() == std::vector<std::size_t>{2});
}

TEST_CASE("a join of more successes than children waits for all of them", "[actors]") {
  join j({kind::k_of_n, 5}, 2);
  j.arrive(0, solved("a"));
  CHECK_FALSE(j.met());
  j.arrive(1, solved("b"));
  CHECK(j.met());
}

constexpr time_point begin{std::chrono::hours(1)};

TEST_CASE("a join that is due goes on with what has come", "[actors]") {
  join j({kind::deadline, 1, 0.5}, 3, begin);
  j.arrive(1, solved("b"));
  CHECK(j.due() == begin + 500ms);
  j.look(begin + 499ms);
  CHECK_FALSE(j.met());
  j.look(begin + 500ms);
  CHECK(j.met());
  CHECK(j.results()[1].solution == "b");
  CHECK(j.results()[0].failure == errc::deadline);
  CHECK(j.losers() == std::vector<std::size_t>{0, 2});
}

TEST_CASE("a pause does not count as time of a join", "[actors]") {
  join j({kind::deadline, 1, 0.5}, 1, begin);
  j.stand_still(10s);
  j.look(begin + 10s);
  CHECK_FALSE(j.met());
  j.look(begin + 10s + 500ms);
  CHECK(j.met());
}

TEST_CASE("other joins are never due", "[actors]") {
  join j({kind::all}, 1, begin);
  CHECK_FALSE(j.due());
  j.look(begin + std::chrono::hours(10'000));
  CHECK_FALSE(j.met());
}

TEST_CASE("a met join takes nothing more", "[actors]") {
  join j({kind::first_success}, 2);
  j.arrive(0, solved("a"));
  j.arrive(1, solved("b"));
  j.look(time_point::max());
  CHECK_FALSE(j.results()[1].solution);
  CHECK(j.results()[1].failure == errc::cancelled);
  CHECK(j.losers() == std::vector<std::size_t>{1});
}

TEST_CASE("the second answer of a child counts for nothing", "[actors]") {
  join j({kind::k_of_n, 2}, 3);
  j.arrive(0, solved("a"));
  j.arrive(0, solved("again"));
  CHECK_FALSE(j.met());
  CHECK(j.results()[0].solution == "a");
}

TEST_CASE("a join without children is met at once", "[actors]") { CHECK(join({}, 0).met()); }

} // namespace
} // namespace banyan
