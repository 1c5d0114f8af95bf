#include "trainer/curriculum.hpp"

#include "model/tokenizer.hpp"

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// Small searches by the root alone, so that a tree is one row, and no drills.
curriculum_options one_row_a_tree() {
  curriculum_options o;
  o.search.beam_high = 3;
  o.search.spawn_probability = 0;
  o.drill_steps = 0;
  o.drill_share = 0;
  return o;
}

curriculum made_of(const curriculum_options& o) { return {o, countdown_tokenizer(), {}}; }

std::vector<std::string> rows_of(const curriculum& c, std::uint64_t step, double progress = 0) {
  const auto batch = c.batch(step, progress);
  const std::span<const std::int32_t> ids(batch.sequences.ids);
  const auto& starts = batch.sequences.starts;
  std::vector<std::string> rows;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i)
    rows.push_back(countdown_tokenizer()->decode(ids.subspan(
        static_cast<std::size_t>(starts[i]), static_cast<std::size_t>(starts[i + 1] - starts[i]))));
  return rows;
}

} // namespace

TEST_CASE("a step has more trees the further the run is", "[trainer]") {
  auto o = one_row_a_tree();
  o.trees_low = 2, o.trees_high = 6;
  const auto c = made_of(o);
  CHECK(rows_of(c, 10, 0).size() == 2);
  CHECK(rows_of(c, 10, 0.5).size() == 4);
  CHECK(rows_of(c, 10, 1).size() == 6);
}

TEST_CASE("the first steps are drills and of later ones the share that is asked for", "[trainer]") {
  auto o = one_row_a_tree();
  o.drill_steps = 100;
  const auto drills = [&o](double share) {
    o.drill_share = share;
    const auto c = made_of(o);
    int first = 0, later = 0;
    for (std::uint64_t step = 0; step < 100; ++step) first += c.is_drill(step);
    for (std::uint64_t step = 100; step < 10'100; ++step) later += c.is_drill(step);
    CHECK(first == 100);
    return later;
  };
  CHECK(drills(0) == 0);
  CHECK(drills(0.2) == Approx(2000).margin(150));
  CHECK(drills(1) == 10'000);
}

TEST_CASE("no drill is a problem that is held out", "[trainer]") {
  auto o = one_row_a_tree();
  o.drill_steps = 10;
  o.drill_rows = 64;
  o.pair_share = 1;
  o.drills.max_result = 200;
  const auto first_lines = [&o](const problem_set& held_out) {
    const curriculum c(o, countdown_tokenizer(), held_out);
    std::set<std::string> seen;
    for (std::uint64_t step = 0; step < 10; ++step)
      for (const auto& row : rows_of(c, step)) seen.insert(row.substr(0, row.find("Exploring")));
    return seen;
  };
  REQUIRE(first_lines({}).size() > 500);
  problem_set easy; // all with a 7
  for (std::int64_t other = 1; other <= 200; ++other)
    for (std::int64_t target = 10; target <= 100; ++target)
      easy.insert(canonical({{7, other}, target}));
  std::size_t with = 0, without = 0;
  const auto has_a_seven = [](const std::string& row) {
    return row.find("[7, ") != row.npos || row.find(", 7]") != row.npos;
  };
  for (const auto& row : first_lines({})) with += has_a_seven(row);
  for (const auto& row : first_lines(easy)) without += has_a_seven(row);
  CHECK(with > 0);
  CHECK(without == 0);
}

TEST_CASE("of the rows of drills the share that is asked for are whole searches", "[trainer]") {
  auto o = one_row_a_tree();
  o.drill_steps = 10;
  o.drill_rows = 64;
  const auto searches = [&o](double share) {
    o.pair_share = share;
    const auto c = made_of(o);
    std::size_t rows = 0, found = 0;
    for (std::uint64_t step = 0; step < 10; ++step)
      for (const auto& row : rows_of(c, step)) {
        ++rows;
        found += row.starts_with("Moving to Node #0\n");
      }
    CHECK(rows == 640);
    return found;
  };
  CHECK(searches(0) == 0);
  CHECK(double(searches(0.3)) == Approx(192).margin(45));
  CHECK(searches(1) == 640);
}

TEST_CASE("held out problems never come up in the stream of demonstrations", "[trainer]") {
  curriculum_options o;
  o.search.beam_high = 3;
  const curriculum all(o, countdown_tokenizer(), {});
  problem_set held_out;
  for (int i = 0; i < 50; ++i)
    held_out.insert(canonical(all.demonstration(std::uint64_t(i)).problem));
  const curriculum rest(o, countdown_tokenizer(), held_out);
  for (int i = 0; i < 200; ++i)
    CHECK(!held_out.contains(canonical(rest.demonstration(std::uint64_t(i)).problem)));
}

TEST_CASE("the batch of a step depends on seed and step alone", "[trainer]") {
  curriculum_options o;
  o.search.beam_high = 3;
  const curriculum a(o, countdown_tokenizer(), {}), b(o, countdown_tokenizer(), {});
  CHECK(a.batch(2000, 0.5).sequences.ids == b.batch(2000, 0.5).sequences.ids);
  CHECK(a.batch(2000, 0.5).sequences.ids != a.batch(2001, 0.5).sequences.ids);
  o.seed = 1;
  CHECK(a.batch(2000, 0.5).sequences.ids
        != curriculum(o, countdown_tokenizer(), {}).batch(2000, 0.5).sequences.ids);
}
