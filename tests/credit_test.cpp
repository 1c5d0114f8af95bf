#include "trainer/credit.hpp"
#include "trainer/reward.hpp"

#include "solver/countdown.hpp"
#include "solver/problems.hpp"
#include "solver/search.hpp"
#include "solver/tree.hpp"
#include "tests/sampled_tree.hpp"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// A solved tree: its first child found the solution that the root restated, the second one found
/// nothing, the third was cancelled.
tree family() {
  tree t;
  t.add("/");
  for (int i = 0; i < 3; ++i) {
    auto& child = t.add(child_path("/", static_cast<std::uint32_t>(i)));
    child.phase = thread_phase::done;
    const auto* operation = i == 0 ? "66-42=24" : i == 1 ? "61-42=19" : "66-61=5";
    child.segments.push_back({segment_kind::prompt,
                              "Moving to Node #0,0\nCurrent State: 47:[1, 2], Operations: ['"
                                  + std::string(operation) + "']\n",
                              {},
                              {},
                              {}});
  }
  t.threads[1].solution = "…";
  t.threads[3].phase = thread_phase::cancelled;
  t.threads[3].awaited = false;
  t.outcome = {true, true, {"66-42=24", "61-24=37"}, "…"};
  return t;
}

} // namespace

TEST_CASE("advantages are what rewards differ from their mean by", "[trainer]") {
  const double rewards[] = {1, 0, 0, 0};
  const auto standard = group_advantages(rewards, true);
  CHECK(standard[0] == Approx(0.75 / 0.4330127).epsilon(1e-4));
  CHECK(standard[1] == Approx(-0.25 / 0.4330127).epsilon(1e-4));
  const auto centred = group_advantages(rewards, false);
  CHECK(centred[0] == Approx(0.75));
  CHECK(centred[3] == Approx(-0.25));
}

TEST_CASE("a group whose rewards are equal has no advantages", "[trainer]") {
  for (std::size_t n = 1; n < 20; ++n) // whatever 1/n is in binary
    for (auto a : group_advantages(std::vector<double>(n, 1), true)) CHECK(a == 0);
}

using paths = std::vector<std::string>;

paths trained_on(const tree& t, const credit_options& o, const reward_options& costs = {}) {
  paths all;
  for (const auto* thread : trained_threads(t, reward_of(t, costs), o)) all.push_back(thread->path);
  return all;
}

TEST_CASE("shared credit goes to every thread", "[trainer]") {
  CHECK(trained_on(family(), {}) == paths{"/", "/0", "/1", "/2"});
}

TEST_CASE("per thread credit goes to those who made the answer", "[trainer]") {
  auto t = family();
  const credit_options o{.kind = credit_kind::per_thread};
  CHECK(answer_used(t, t.threads[1]));
  CHECK_FALSE(answer_used(t, t.threads[2]));
  CHECK(trained_on(t, o) == paths{"/", "/0"});
  t.outcome = {};
  t.threads[1].solution.reset();
  CHECK(trained_on(t, o) == paths{"/", "/0", "/1"});
}

TEST_CASE("cancelled threads are trained on or left out", "[trainer]") {
  CHECK(trained_on(family(), {.cancelled = cancelled_kind::left_out}) == paths{"/", "/0", "/1"});
}

TEST_CASE("what is below a cancelled thread is left out with it", "[trainer]") {
  auto t = family();
  t.add("/2/0").phase = thread_phase::done;
  CHECK(trained_on(t, {}) == paths{"/", "/0", "/1", "/2", "/2/0"});
  CHECK(trained_on(t, {.cancelled = cancelled_kind::left_out}) == paths{"/", "/0", "/1"});
  t.outcome = {};
  CHECK(trained_on(t, {.kind = credit_kind::per_thread}) == paths{"/", "/0", "/1"});
}

TEST_CASE("a right tree beyond its budget is the fault of all who were waited for", "[trainer]") {
  auto t = family(); // three children
  t.prompt = "Sub Call Budget: 2 Moving to Node #0\n";
  const credit_options o{.kind = credit_kind::per_thread};
  CHECK(trained_on(t, o) == paths{"/", "/0", "/1"});
  CHECK(trained_on(t, o, {.obey = false}) == paths{"/", "/0"});
}

TEST_CASE("the answer of a demonstration used exactly one child", "[trainer]") {
  std::size_t looked_at = 0;
  for (std::uint64_t index = 0; index < 40; ++index) {
    const auto t = sampled_demonstration(*countdown_tokenizer(), index);
    if (!t.outcome.solved || t.threads.size() < 2) continue;
    ++looked_at;
    CHECK(std::ranges::count_if(t.threads,
                                [&](const auto& x) { return x.depth > 0 && answer_used(t, x); })
          == 1);
  }
  CHECK(looked_at > 5);
}

TEST_CASE("costs are taken from correct trees only and never all of the reward", "[trainer]") {
  const auto vocabulary = countdown_tokenizer();
  auto t = sampled_demonstration(*vocabulary, 3);
  t.outcome.solved = true;
  const auto usage = t.usage();
  CHECK(reward_of(t, {}) == 1);
  const reward_options tokens{.total_tokens = 0.1};
  CHECK(reward_of(t, tokens) == Approx(1 - 0.1 * double(usage.generated_tokens) / 1000));
  const reward_options path{.critical_tokens = 0.1};
  CHECK(reward_of(t, path) == Approx(1 - 0.1 * double(usage.critical_path_tokens) / 1000));
  const reward_options threads{.threads = 0.01};
  CHECK(reward_of(t, threads) == Approx(1 - 0.01 * double(usage.threads - 1)));
  const reward_options all{.total_tokens = 0.1, .critical_tokens = 0.2, .threads = 0.01};
  const auto cost = 0.1 * double(usage.generated_tokens) / 1000
                    + 0.2 * double(usage.critical_path_tokens) / 1000
                    + 0.01 * double(usage.threads - 1);
  REQUIRE(cost < all.most);
  CHECK(reward_of(t, all) == Approx(1 - cost));
  CHECK(reward_of(t, {.total_tokens = 1000, .most = 0.4}) == Approx(0.6));
  t.outcome.solved = false;
  CHECK(reward_of(t, tokens) == 0);
}

TEST_CASE("a tree with more children than its prompt allows is worth nothing", "[trainer]") {
  auto t = family(); // three children
  t.prompt = "Sub Call Budget: 3 Moving to Node #0\n";
  CHECK(reward_of(t, {}) == 1);
  t.prompt = "Sub Call Budget: 2 Moving to Node #0\n";
  CHECK(reward_of(t, {}) == 0);
  CHECK(reward_of(t, {.obey = false}) == 1);
}

TEST_CASE("a tree with a longer text than its token budget is worth nothing", "[trainer]") {
  auto t = family();
  const auto write = [&t](const std::string& condition, std::size_t bytes) {
    const std::string start = "Moving to Node #0\n";
    t.prompt = condition + start;
    t.threads.front().segments = {{.text = t.prompt + std::string(bytes - start.size(), 'x')}};
  };
  write("Token Budget: 512 ", 1025); // characters: 512 tokens and a half
  CHECK(reward_of(t, {}) == 1);
  write("Token Budget: 512 ", 1026);
  CHECK(reward_of(t, {}) == 0);
  CHECK(reward_of(t, {.obey = false}) == 1);
  write("Sub Call Budget: 3 Token Budget: 512 ", 1026);
  CHECK(reward_of(t, {}) == 0);
  write("Sub Call Budget: 3 Token Budget: 1024 ", 1026);
  CHECK(reward_of(t, {}) == 1);
  write("Sub Call Budget: 2 Token Budget: 1024 ", 1026);
  CHECK(reward_of(t, {}) == 0);
}

TEST_CASE("no demonstration is beyond its own token budget", "[trainer]") {
  search_options o{.kind = search_kind::sos_plus, .condition_tokens = true};
  std::size_t solved = 0;
  for (std::uint64_t index = 0; index < 300; ++index) {
    const auto t = demonstrate(draw_problem({.num_numbers = 3, .seed = 1}, index, {}), o, index);
    if (!t.outcome.solved) continue;
    ++solved;
    CHECK(reward_of(t, {}) == 1);
  }
  CHECK(solved > 100);
}
