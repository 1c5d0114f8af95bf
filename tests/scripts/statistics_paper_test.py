#!/usr/bin/env python3
"""statistics_paper_test.py: the statistics and the rows of the paper's experiments against cases computed by hand."""

import math
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from paper_told import run_of, sample, told  # noqa: E402
import experiments as paper  # noqa: E402
import statistics95  # noqa: E402
from found import together  # noqa: E402


class with_rows(unittest.TestCase):
    def assert_is(self, row, **wanted):
        for column, value in wanted.items():
            if isinstance(value, str):
                self.assertEqual(row[column], value, column)
            else:
                self.assertAlmostEqual(float(row[column]), value, 3, column)


class statistics(unittest.TestCase):
    def test_a_mean_has_the_interval_computed_by_hand(self):
        # Deviation from the mean 10 each: variance of the mean 100 / 3 over four values.
        middle, low, high = statistics95.mean_interval([10, 30, 10, 30])
        self.assertEqual(middle, 20)
        self.assertAlmostEqual(20 - low, 1.959964 * math.sqrt(100 / 3), 6)
        self.assertAlmostEqual(high - 20, 1.959964 * math.sqrt(100 / 3), 6)

    def test_the_largest_of_some_is_a_mean_over_all_choices(self):
        self.assertAlmostEqual(statistics95.mean_largest([6, 1, 2], 2), (2 + 6 + 6) / 3)
        self.assertAlmostEqual(statistics95.mean_largest([6, 1, 2], 1), 3)
        self.assertAlmostEqual(statistics95.mean_largest([6, 1, 2], 3), 6)

    def pairs(self, both, first, second, neither):
        return [1] * both + [1] * first + [0] * second + [0] * neither, [1] * both + [0] * first + [1] * second + [0] * neither

    def test_newcombe_s_own_example(self):
        pair = statistics95.paired(*self.pairs(36, 12, 2, 0))  # his table II: 0.0569 to 0.3404
        self.assertAlmostEqual(pair["difference"], 0.2)
        self.assertAlmostEqual(pair["low"], 0.0569, 4)
        self.assertAlmostEqual(pair["high"], 0.3404, 4)
        self.assertAlmostEqual(pair["p"], 2 * (1 + 14 + 91) / 2**14)

    def test_results_that_go_together_have_a_narrower_difference(self):
        # Wilson: 0.76 in [0.6259, 0.8570], 0.72 in [0.5833, 0.8253]; phi (36 * 12 - 50 / 2) / sqrt(38 * 12 * 36 * 14) = 0.8490.
        pair = statistics95.paired(*self.pairs(36, 2, 0, 12))
        self.assertAlmostEqual(pair["low"], 0.04 - 0.0714, 4)
        self.assertAlmostEqual(pair["high"], 0.04 + 0.0747, 4)
        self.assertEqual(pair["p"], 0.5)

    def test_runs_of_other_lengths_are_not_paired(self):
        for compare in (statistics95.paired, statistics95.ratio_interval, statistics95.means_ratio):
            with self.assertRaises(ValueError):
                compare([1, 1, 1], [1, 1])

    def test_a_ratio_of_means_is_that_of_the_totals(self):
        ratio, low, high = statistics95.means_ratio([100, 300], [100, 100])
        self.assertAlmostEqual(ratio, 2)
        # By the delta method: the variance of the logarithm is that of the first, 100^2 / 200^2, over one degree of freedom.
        self.assertAlmostEqual(math.log(high / ratio), 12.7062 * 0.5, 3)
        self.assertAlmostEqual(ratio / low, high / ratio)
        self.assertAlmostEqual(statistics95.ratio_interval([100, 300], [100, 100])[0], math.sqrt(3))

    def test_costs_that_are_proportional_have_a_ratio_without_doubt(self):
        for found, wanted in zip(statistics95.means_ratio([20, 40, 90], [10, 20, 45]), (2, 2, 2), strict=True):
            self.assertAlmostEqual(found, wanted, 5)

    def test_shares_that_are_not_paired_are_apart_by_both_their_intervals(self):
        found = statistics95.apart((0.8, 0.5, 0.9), (0.6, 0.3, 1.0))
        for value, wanted in zip(found, (0.2, 0.2 - 0.5, 0.2 + math.hypot(0.1, 0.3)), strict=True):
            self.assertAlmostEqual(value, wanted)


class rows(with_rows):
    """Two problems, two samples each, all of which differ."""

    SAMPLES = [[sample(1, 10, 5, children=1, wasted=1), sample(0, 30, 20, children=3, wasted=3, claimed=1)],
               [sample(0, 20, 20, children=0, wasted=0, failure="no_solution"), sample(0, 40, 8, children=2, wasted=2, failure="context_full")]]

    def test_a_row_has_means_over_problems(self):
        row = run_of(self.SAMPLES).row("a", "b")
        self.assert_is(row, accuracy=0.25, tokens=25, tokens_low=25 - 9.7998, tokens_high=25 + 9.7998, critical=13.25, wasted=1.5, children=1.5,
                       tokens_a_thread=100 / 10, claimed_wrong=1, failures="context full 1, no solution 1", samples=2, problems=2)

    def test_wall_times_are_those_of_timed_runs_alone(self):
        self.assertNotIn("wall_ms", run_of(self.SAMPLES).row("a", "b"))
        self.assert_is(run_of(self.SAMPLES).row("a", "b", timed=True), wall_ms=1)

    def test_the_best_of_samples_is_right_where_one_is(self):
        self.assert_is(run_of(self.SAMPLES).best().row("a", "b"), accuracy=0.5, tokens=50, critical=20, wasted=3, children=(5 + 3) / 2, samples=1)

    def test_k_samples_cost_k_times_as_much(self):
        one, two = run_of(self.SAMPLES).rows_at_k("a", "pass")
        self.assert_is(one, series="a pass@k", setting="k = 1", accuracy=0.1, tokens=25, critical=13.25, wasted=1.5, children=1.5)
        self.assert_is(two, setting="k = 2", accuracy=0.2, accuracy_low=0.15, accuracy_high=0.25, tokens=50, tokens_low=2 * (25 - 9.7998),
                       critical=20, wasted=3, children=3)
        self.assertNotIn("wall_ms", two)
        self.assertNotIn("claimed_wrong", two)

    def test_sequential_tokens_of_some_samples_are_over_all_choices(self):
        three = run_of([[sample(1, 9, 6), sample(1, 9, 1), sample(1, 9, 2)], [sample(1, 9, 3)] * 3])
        self.assertAlmostEqual(list(three.rows_at_k("a", "cons"))[1]["critical"], ((2 + 6 + 6) / 3 + 3) / 2)

    def test_repeats_are_one_run_with_the_mean_of_their_times(self):
        first, second = ([[sample(1, 10, wall_ms=ms)], [sample(0, 20, wall_ms=ms + 1)]] for ms in (10, 30))
        found = together([run_of(first), run_of(second)])
        self.assertEqual(found.usage("wall_ms"), [20, 21])
        self.assertEqual(found.usage("generated_tokens"), [10, 20])


class tables(with_rows):
    """The rows of experiments, of four problems."""

    def test_rl_is_compared_with_what_was_before(self):
        def findings(role, options):
            better = role == "apr-rl" and options["temperature"] == 0 or role == "apr" and options["temperature"] == 1
            children = options.get("children", 9)
            return [[sample(solved, 100 * (1 + children), children=children)] for solved in ([1, 1, 1, 0] if better else [1, 0, 0, 0])]

        found = list(paper.rl(told(findings, ("apr", "apr-rl"))))
        self.assertEqual(len(found), 2 * 2 * 7)
        for t, wins, losses, sign in ((0, 2, 0, 1), (1, 0, 2, -1)):
            after = [row for row in found if row["series"] == "APR + RL" and row["temperature"] == t]
            self.assertEqual([row["setting"] for row in after], ["not asked", 0, 2, 4, 6, 8, 10])
            for row in after:
                self.assert_is(row, difference=sign * 50, better=wins, worse=losses, p=0.5)
            self.assert_is(after[2], children=2, tokens=300)
        self.assertNotIn("difference", found[0])

    def test_joins_are_compared_with_waiting_for_all(self):
        def findings(role, options):
            first = options.get("join") == "first_success"
            times = (10, 30, 10, 30) if first else (20, 60, 20, 60)
            return [[sample(solved, 80 if first else 100, 40, wall_ms=ms, wasted=7 if first else 0, children=1)]
                    for solved, ms in zip([1, 1, 1, 0] if first else [1, 1, 0, 0], times, strict=True)]

        both, fewer, *_ = paper.join(told(findings, ("apr",)))
        self.assert_is(both, series="APR, all", wasted=0, wall_ms=40, tokens=100)
        self.assert_is(fewer, series="APR, first_success", wasted=7, tokens=80, wall_ms=20, difference=25, better=1, worse=0, wall_ms_ratio=0.5,
                       wall_ms_means_ratio=0.5, repeats=1)
        self.assertNotIn("difference", both)

    def test_a_tree_that_outgrows_the_context_is_wrong(self):
        def findings(role, options):
            if "context" in options:  # in force: two end in it
                return [[sample(solved, 10, context=16)] for solved in (1, 0, 0, 0)]
            return [[sample(1, 10, context=length)] for length in (5, 9, 12, 16)]

        found = {(row["series"], row["context"]): row["accuracy"] for row in paper.context(told(findings, ("apr",)))}
        self.assertEqual([found["APR", limit] for limit in (4, 5, 8, 9, 12, 16)], [0, 0.25, 0.25, 0.5, 0.75, 1])
        self.assertEqual(found["APR, --context", 12], 0.25)
        self.assertEqual(found["APR, 3 children asked", 9], 0.5)

    def test_sosplus_is_conditioned_on_tokens(self):
        def findings(role, options):
            return [[sample(1, options.get("token_budget", 999))]] * 4

        found = list(paper.sequential(told(findings, ("sosplus",))))
        budgets = [row for row in found if row["series"] == "SoS+, token budget"]
        self.assertEqual([(row["setting"], row["tokens"]) for row in budgets], [(n, n) for n in range(512, 4097, 512)])
        series = {row["series"] for row in paper.context(told(findings, ("sosplus",)))}
        self.assertEqual(series, {"SoS+", "SoS+, token budget 1024", "SoS+, token budget 4096"})

    def test_repeats_go_over_all_settings_in_turn(self):
        lab = told(lambda role, options: [[sample(1, 10, wall_ms=1 + options["repeat"])]] * 4, ("apr", "sosplus"), repeats=3)
        found = list(paper.latency(lab))
        once = [(role, options.get("children")) for role, _, repeat, options in lab.asked if repeat == 0]
        self.assertEqual([(role, repeat, options.get("children")) for role, _, repeat, options in lab.asked],
                         [(role, repeat, children) for repeat in range(3) for role, children in once])
        self.assert_is(found[0], wall_ms=2, wall_ms_least=1, wall_ms_most=3, repeats=3, wall_ms_means_ratio=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
