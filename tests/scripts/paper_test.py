#!/usr/bin/env python3
"""paper_test.py BANYAN: the paper's experiments on a few problems; their statistics against the program's own."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BANYAN = pathlib.Path(sys.argv.pop(1)).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODEL = SOURCE / "models" / "countdown-3"
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench" / "paper"))
import statistics95  # noqa: E402


class experiments(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = pathlib.Path(scratch.name)

    def run_of(self, *words):
        return subprocess.run([SOURCE / "bench/paper/run", "--out", self.out, "--banyan", BANYAN, "--model", f"apr={MODEL}",
                               "--problems", MODEL / "heldout.jsonl", *map(str, words)],
                              capture_output=True, text=True, timeout=500, cwd=self.out)

    def rows(self, name):
        with open(self.out / f"{name}.csv", newline="") as lines:
            return list(csv.DictReader(lines))

    def test_a_run_goes_on_where_it_was(self):
        first = self.run_of("symbolic", "sequential", "--problems-limit", 3)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("sequential: without APR + RL: there is no model at models/countdown-3 ", first.stderr)
        began = first.stderr.count("running")
        rows = self.rows("sequential")
        self.assertEqual(began, len(rows))
        self.assertEqual({row["problems"] for row in rows}, {"3"})
        self.assertTrue(all(row["series"].startswith("APR,") for row in rows))
        for row in rows:
            self.assertLessEqual(float(row["accuracy_low"]), float(row["accuracy"]))
            self.assertLessEqual(float(row["accuracy"]), float(row["accuracy_high"]))
        page = (self.out / "experiments.md").read_text()
        self.assertIn("APR + RL (there is no model at models/countdown-3)", page)
        self.assertIn("228 M", page)
        if shutil.which("gnuplot"):
            self.assertIn("<svg", (self.out / "sequential.svg").read_text())
        again = self.run_of("sequential", "--problems-limit", 3)
        self.assertNotIn("running", again.stderr)
        self.assertEqual(self.rows("sequential"), rows)
        next((self.out / "results").glob("*children-4*.jsonl")).unlink()
        third = self.run_of("sequential", "--problems-limit", 3)
        self.assertEqual(third.stderr.count("running"), 1)
        other = self.run_of("sequential", "--problems-limit", 2)
        self.assertEqual(other.stderr.count("running"), began)

    def test_what_is_not_there_is_said(self):
        self.assertIn("nothing: there is no such experiment", self.run_of("nothing").stderr)
        self.assertIn("there are no results", self.run_of("report").stderr)
        self.assertIn("give ROLE=DIR", self.run_of("join", "--model", "other=x").stderr)
        self.assertIn("join: nothing to measure", self.run_of("join", "--model", f"apr={self.out}", "--problems-limit", 2).stderr)

    def test_statistics_are_those_of_the_program(self):
        def evaluate(name, *words):
            done = subprocess.run([BANYAN, "evaluate", "--problems", problems, "--model", MODEL, "--json", "--results", self.out / name, *words],
                                  capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = [json.loads(line) for line in (self.out / name).read_text().splitlines()]
            return json.loads(done.stdout), [lines[i]["solved"] for i in range(len(lines))]

        problems = self.out / "p.jsonl"
        problems.write_text("".join((MODEL / "heldout.jsonl").read_text().splitlines(keepends=True)[:24]))
        _, before = evaluate("a.jsonl", "--temperature", "1.5", "--seed", "1")
        figures, after = evaluate("b.jsonl", "--temperature", "1.5", "--seed", "2", "--against", self.out / "a.jsonl")
        ours, theirs = statistics95.paired(after, before), figures["against"]
        self.assertGreater(theirs["wins"] + theirs["losses"], 0)
        self.assertEqual((ours["wins"], ours["losses"]), (theirs["wins"], theirs["losses"]))
        for mine, its in ((ours["difference"], theirs["difference_points"]), (ours["low"], theirs["ci95_points"][0]),
                          (ours["high"], theirs["ci95_points"][1])):
            self.assertAlmostEqual(100 * mine, its)
        self.assertAlmostEqual(ours["p"], theirs["p"])
        figures, solved = evaluate("c.jsonl", "--temperature", "1.5", "--samples", "3")
        shares = [statistics95.mean(solved[i:i + 3]) for i in range(0, len(solved), 3)]
        for mine, its in zip(statistics95.share_interval(shares, len(solved)), (figures["accuracy"], *figures["ci95"])):
            self.assertAlmostEqual(mine, its)


if __name__ == "__main__":
    unittest.main(verbosity=2)
