#!/usr/bin/env python3
"""solve_cli_test.py BANYAN [TEST…]: problems are solved by the shipped model."""

import json
import signal
import subprocess
import time
import unittest

from cli_case import BANYAN, DEMO, banyan, cli_case


class solve(cli_case):
    def test_json_lines_hold_the_published_keys(self):
        done = banyan("solve", "--problems", DEMO, "--json")
        self.assertEqual(done.stderr, "")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["problem"] for line in lines], json.loads(DEMO.read_text()))
        for line in lines:
            self.assertEqual(list(line), ["problem", "solved", "claimed", "operations", "solution", "failure", "usage"])
            self.assertEqual(list(line["usage"]), ["threads", "depth", "rounds", "prompt_tokens", "generated_tokens",
                                                   "critical_path_tokens", "cached_tokens", "wall_ms"])
        self.assertEqual(done.returncode, 0 if all(line["solved"] for line in lines) else 1)

    def test_solutions_are_right(self):
        lines = [json.loads(line) for line in banyan("solve", "--problems", DEMO, "--json").stdout.splitlines()]
        solved = [line for line in lines if line["solved"]]
        self.assertGreaterEqual(len(solved), 4, lines)  # of five, all of which are solved where this was written
        for line in solved:
            numbers = list(line["problem"]["numbers"])
            for step in line["operations"]:
                left, result = step.split("=")
                symbol = next(c for c in left if c in "+-*/")
                a, b = map(int, left.split(symbol))
                self.assertEqual({"+": a + b, "-": a - b, "*": a * b, "/": a // b if b and a % b == 0 else None}[symbol], int(result))
                numbers.remove(a)
                numbers.remove(b)
                numbers.append(int(result))
            self.assertEqual(numbers, [line["problem"]["target"]])

    def test_plain_output(self):
        done = banyan("solve", "--target", 54, 25, 7, 3)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("25, 7, 3 -> 54: ", done.stdout)
        self.assertIn("/ started\n", done.stderr)
        self.assertIn("Moving to Node #0\n", done.stderr)
        quiet = banyan("solve", "--target", 54, 25, 7, 3, "--quiet")
        self.assertEqual((quiet.returncode, quiet.stderr), (0, ""))

    def test_a_seed_repeats_the_samples(self):
        def sampled(seed):
            done = banyan("solve", "--target", 54, 25, 7, 3, "--temperature", 1, "--seed", seed, "--json")
            line = json.loads(done.stdout)
            self.assertEqual(done.returncode, 0 if line["solved"] else 1)
            line["usage"].pop("wall_ms")
            line["usage"].pop("cached_tokens")
            return line
        self.assertEqual(sampled(7), sampled(7))

    def test_what_has_no_solution_stays_unsolved(self):
        problems = self.write("p.jsonl", '{"nums": [1, 1, 1], "target": 97}\n{"nums": [25, 7, 3], "target": 54, "id": "b", "start_size": 3}\n')
        done = banyan("solve", "--problems", problems, "--json")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["problem"]["target"] for line in lines], [97, 54])
        self.assertEqual([line["solved"] for line in lines], [False, True])
        self.assertEqual([line.get("fields") for line in lines], [None, {"id": "b", "start_size": 3}])
        self.assertGreater(lines[0]["usage"]["generated_tokens"], 0)

    def test_problems_that_the_model_does_not_know(self):
        self.refused(2, "solve", "--target", 10, 1, 2, 3, 4, 5, names="5")
        self.refused(2, "solve", "--target", 7, 1, 2, 4, names="7")
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n{"nums": [1, 100, 1], "target": 97}\n')
        self.refused(2, "solve", "--problems", problems, names="p.jsonl: line 2")

    def test_a_budget_that_is_too_small(self):
        done = banyan("solve", "--target", 54, 25, 7, 3, "--max-tokens", 5, "--json")
        self.assertEqual(done.returncode, 1)
        line = json.loads(done.stdout)
        self.assertEqual((line["solved"], line["failure"]), (False, "budget_spent"))
        self.assertEqual(line["usage"]["generated_tokens"], 5)

    def test_ctrl_c_ends_in_order(self):
        problems = self.folder / "many.jsonl"
        banyan("generate", "problems", "--count", 3000, "--numbers", 3, "--out", problems)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            run = subprocess.Popen([BANYAN, "solve", "--problems", str(problems), "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(run.stdout.close)
            self.addCleanup(run.stderr.close)
            json.loads(run.stdout.readline())
            begin = time.monotonic()
            run.send_signal(number)
            rest, errors = run.communicate(timeout=60)
            self.assertEqual(run.returncode, code)
            self.assertEqual(errors, "")
            self.assertLess(time.monotonic() - begin, 20)  # two seconds on a machine of one's own
            for line in rest.splitlines():
                json.loads(line)


if __name__ == "__main__":
    unittest.main(verbosity=2)
