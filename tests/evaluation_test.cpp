#include "trainer/evaluation.hpp"

#include "solver/tree.hpp"

#include <cmath>
#include <limits>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace banyan {
namespace {

TEST_CASE("an evaluation counts what was solved and gives Wilson's interval", "[trainer]") {
  evaluation e;
  tree solved;
  solved.threads.resize(3);
  solved.threads[1].path = "/0";
  solved.threads[2].path = "/1";
  solved.outcome.solved = solved.outcome.claimed = true;
  tree failed;
  failed.threads.resize(1);
  failed.failure = errc::no_solution;
  e.add(solved), e.add(failed), e.add(failed), e.add(failed);
  e.took(2);
  const auto j = nlohmann::json::parse(e.json());
  CHECK(j.at("accuracy") == 0.25);
  CHECK(j.at("children_mean") == 0.5);
  CHECK(j.at("failures").at("no_solution") == 3);
  CHECK(j.at("problems_per_s") == 2);
  CHECK(e.ci95()[0] == Approx(0.0456).margin(1e-3));
  CHECK(e.ci95()[1] == Approx(0.6994).margin(1e-3));
}

/// A tree whose root claims these operations; none: it gives up.
tree claiming(const std::string& operation, bool right) {
  tree t;
  t.threads.resize(1);
  t.outcome.claimed = !operation.empty();
  t.outcome.solved = right;
  if (t.outcome.claimed) t.outcome.operations = {operation};
  return t;
}

evaluation of_one_problem(const std::vector<tree>& samples) {
  evaluation e(samples.size());
  for (const auto& t : samples) e.add(t);
  return e;
}

const auto right = claiming("3*5=15", true), also_right = claiming("5*3=15", true),
           wrong = claiming("3+5=8", false), nothing = claiming("", false);

TEST_CASE("the most frequent answer is the answer", "[trainer]") {
  CHECK(of_one_problem({right, wrong, wrong}).cons_at(3).value == 0);
  CHECK(of_one_problem({right, wrong, right}).cons_at(3).value == 1);
  CHECK(of_one_problem({right, wrong, right}).pass_at(3).value == 1);
}

TEST_CASE("samples without an answer do not vote", "[trainer]") {
  CHECK(of_one_problem({nothing, nothing, right}).cons_at(3).value == 1);
  CHECK(of_one_problem({nothing, nothing, nothing}).cons_at(3).value == 0);
}

TEST_CASE("answers that occur equally often count by their share", "[trainer]") {
  CHECK(of_one_problem({right, wrong}).cons_at(2).value == 0.5);
  CHECK(of_one_problem({right, wrong, also_right}).cons_at(3).value == Approx(2.0 / 3));
}

TEST_CASE("a majority of one is the sample itself and all samples count", "[trainer]") {
  const auto e = of_one_problem({right, wrong, nothing, wrong});
  CHECK(e.cons_at(1).value == 0.25);
  CHECK(e.pass_at(1).value == 0.25);
  CHECK(e.accuracy() == 0.25);
}

TEST_CASE("majorities are those of all subsets where these are few", "[trainer]") {
  // Pairs of right right wrong: one is right, two are half right.
  CHECK(of_one_problem({right, right, wrong}).cons_at(2).value == Approx(2.0 / 3));
  // Triples of right right nothing nothing: all are right.
  CHECK(of_one_problem({right, right, nothing, nothing}).cons_at(3).value == 1);
}

TEST_CASE("majorities are those of groups where subsets are many", "[trainer]") {
  std::vector<tree> samples(20, nothing);
  samples[9] = samples[19] = right;
  CHECK(of_one_problem(samples).cons_at(10).value == 1); // two groups, and each has one
  samples[10] = right, samples[9] = nothing;
  CHECK(of_one_problem(samples).cons_at(10).value == 0.5);
  CHECK(of_one_problem(samples).cons_at(9).value == 0.5); // the last two are left over
}

TEST_CASE("figures are of problems and means of trees", "[trainer]") {
  evaluation e(2);
  for (const auto& t : {right, nothing, nothing, nothing}) e.add(t);
  const auto j = nlohmann::json::parse(e.json());
  CHECK(j.at("problems") == 2);
  CHECK(j.at("samples") == 2);
  CHECK(j.at("solved") == 1);
  CHECK(j.at("accuracy") == 0.25);
  CHECK(j.at("pass_at_k").at(1).at("k") == 2);
  CHECK(j.at("pass_at_k").at(1).at("rate") == 0.5);
  CHECK(j.at("cons_at_k").size() == 2);
}

TEST_CASE("groups that share samples are not independent trials", "[trainer]") {
  evaluation e(8);
  for (int problem = 0; problem < 40; ++problem)
    for (int sample = 0; sample < 8; ++sample) e.add(sample < 2 - problem % 2 ? right : nothing);
  // Nearly all groups of 7 have a right one, so that the shares hardly differ.
  for (const std::size_t k : {2, 7}) {
    CAPTURE(k);
    const auto found = e.pass_at(k);
    CHECK(found.ci95[0] <= wilson(found.value, double(40 * (8 / k)))[0]);
  }
}

TEST_CASE("tokens of k samples are k times those of one", "[trainer]") {
  auto t = right;
  t.threads[0].segments = {{segment_kind::written, "", {1, 2, 3}, {0, 0, 0}, {0, 0, 0}}};
  const auto j = nlohmann::json::parse(of_one_problem({t, t}).json());
  CHECK(j.at("cons_at_k").at(1).at("generated_tokens_mean") == 6);
  CHECK(j.at("wasted_tokens_mean") == 0);
}

TEST_CASE("a gap that is not a number is not hidden by those that come after", "[trainer]") {
  evaluation e;
  e.found_gap(0.25);
  e.found_gap(std::numeric_limits<double>::quiet_NaN());
  e.found_gap(0.5);
  CHECK(std::isnan(e.logprob_gap_max()));
}

} // namespace
} // namespace banyan
