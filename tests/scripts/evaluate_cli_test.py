#!/usr/bin/env python3
"""evaluate_cli_test.py BANYAN [TEST…]: the shipped model is measured."""

import json
import subprocess
import unittest

from cli_case import BANYAN, DEMO, banyan, cli_case


class evaluate(cli_case):
    def test_evaluation(self):
        trees = self.folder / "trees.jsonl"
        done = banyan("evaluate", "--problems", DEMO, "--json", "--trees", trees)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        number = figures["problems"]
        self.assertGreaterEqual(figures["solved"], 4)  # of five
        self.assertIn(f" {number} of {number}, solved ", done.stderr.splitlines()[-1])
        self.assertEqual(list(figures), ["problems", "samples", "solved", "claimed", "accuracy", "ci95", "generated_tokens_mean",
                                         "critical_path_tokens_mean", "wasted_tokens_mean", "children_mean", "threads_max", "failures",
                                         "problems_per_s", "tokens_per_s", "wall_s", "logprob_gap_max"])
        self.assertLess(figures["logprob_gap_max"], 1e-4)
        self.assertGreater(figures["children_mean"], 1)  # decoding and training agree over spawns and joins, too
        lines = [json.loads(line) for line in trees.read_text().splitlines()]
        self.assertEqual(len(lines), figures["problems"])
        self.assertEqual(sum(line["outcome"]["solved"] for line in lines), figures["solved"])
        self.assertIn("Moving to Node #0", lines[0]["threads"][0]["text"])
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        missed = banyan("evaluate", "--problems", problems, "--max-tokens", 5, "--min-accuracy", 0.5, "--json")
        self.assertEqual(missed.returncode, 1)
        self.assertEqual(json.loads(missed.stdout)["failures"], {"budget_spent": 1})

    def test_problems_and_results_may_be_pipes(self):
        one = '{"nums": [25, 7, 3], "target": 54}\n'
        done = subprocess.run(f"'{BANYAN}' evaluate --problems <(echo '{one.strip()}') --results '{self.folder}/r' --trees >(cat >'{self.folder}/t') "
                              "--quiet", shell=True, executable="/bin/bash", capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len((self.folder / "r").read_text().splitlines()), 1)

    def test_samples_do_not_depend_on_what_else_is_evaluated(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n{"nums": [25, 7, 36], "target": 54}\n')

        def results(name, *words):
            file = self.folder / name
            done = banyan("evaluate", "--problems", problems, "--temperature", 1.5, "--seed", 3, "--results", file, "--json", *words)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            for line in lines:
                del line["usage"]["wall_ms"], line["usage"]["cached_tokens"]
            return json.loads(done.stdout), lines

        figures, three = results("three.jsonl", "--samples", 3)
        _, two = results("two.jsonl", "--samples", 2, "--concurrency", 1)
        self.assertEqual([line["sample"] for line in three], [0, 1, 2, 0, 1, 2])
        self.assertEqual(two, three[:2] + three[3:5])
        self.assertEqual(len({line["seed"] for line in three}), 6)
        self.assertEqual([at["k"] for at in figures["pass_at_k"]], [1, 2, 3])
        self.assertEqual(figures["cons_at_k"][0]["rate"], figures["accuracy"])
        self.assertEqual(sum(line["solved"] for line in three), figures["solved"])
        for field in ("generated_tokens", "wasted_tokens"):
            self.assertAlmostEqual(sum(line["usage"][field] for line in three) / 6, figures[f"{field}_mean"])

    def test_runs_over_the_same_problems_are_compared(self):
        first, second = self.folder / "first.jsonl", self.folder / "second.jsonl"
        banyan("evaluate", "--problems", DEMO, "--max-tokens", 5, "--results", first, "--quiet")
        done = banyan("evaluate", "--problems", DEMO, "--results", second, "--against", first, "--json")
        figures = json.loads(done.stdout)
        compared = figures["against"]
        self.assertGreater(figures["solved"], 0)  # or this shows nothing
        self.assertEqual(compared["wins"], figures["solved"])
        self.assertEqual(compared["losses"], 0)
        self.assertAlmostEqual(compared["difference_points"], 100 * figures["accuracy"])
        self.assertLess(compared["ci95_points"][0], compared["difference_points"])
        self.assertAlmostEqual(compared["p"], min(1, 2 * 0.5 ** figures["solved"]))
        other = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        self.refused(2, "evaluate", "--problems", other, "--against", first, names=str(first))
        self.refused(2, "evaluate", "--problems", DEMO, "--against", self.write("x.jsonl", "{}\n"), names="x.jsonl: line 1")

    def test_an_evaluation_that_fails_leaves_earlier_files(self):
        trees, results = self.write("trees.jsonl", "earlier\n"), self.write("results.jsonl", "earlier\n")
        self.refused(3, "evaluate", "--problems", DEMO, "--device", "cuda:77", "--trees", trees, "--results", results,
                     names="cuda:77")
        self.assertEqual((trees.read_text(), results.read_text()), ("earlier\n", "earlier\n"))
        full = self.full_device()
        self.refused(3, "evaluate", "--problems", DEMO, "--quiet", "--trees", full, names="full")
        for option in ("--trees", "--results"):
            self.refused(2, "evaluate", "--problems", DEMO, option, "-", names=f"{option}: the figures go to standard output")
        both = self.folder / "both.jsonl"
        self.refused(2, "evaluate", "--problems", DEMO, "--trees", both, "--results", both, names="--trees: it is the file of --results")
        self.refused(2, "evaluate", "--problems", DEMO, "--trees", both, "--results", self.folder / ".." / self.folder.name / "both.jsonl",
                     names="--trees: it is the file of --results")
        problems = self.write("p.jsonl", '{"nums": [7, 25, 3], "target": 54}\n')
        self.refused(2, "evaluate", "--problems", problems, "--results", problems, names="--results: it is the file of --problems")
        self.assertEqual(problems.read_text(), '{"nums": [7, 25, 3], "target": 54}\n')
        self.assertTrue(full.is_char_device())

    def test_trees_without_time_are_told(self):
        done = banyan("evaluate", "--problems", DEMO, "--deadline", "0.0001", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{json.loads(done.stdout)['failures']['deadline']} trees had no time left and count as wrong; give a larger --deadline", done.stderr)

    def test_a_context_limit_is_a_failure_of_its_own(self):
        done = banyan("evaluate", "--problems", DEMO, "--context", 60, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        self.assertEqual(figures["failures"], {"context_full": figures["problems"]})


if __name__ == "__main__":
    unittest.main(verbosity=2)
