#!/usr/bin/env python3
"""runs_paper_test.py BANYAN [TEST…]: the paper's experiments on a few problems; their statistics against the program's own."""

import csv
import json
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import types
import unittest

from daemon import MODEL, SOURCE
from paper_case import BANYAN, paper_case
import experiments as paper
import statistics95

SERIAL = SOURCE / "models" / "baselines" / "countdown-3-sosplus"


class experiments(paper_case):
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
        lines = [json.loads(line) for line in next((self.out / "results").glob("apr.*children-4*.jsonl")).read_text().splitlines()]
        four = next(row for row in rows if row["setting"] == "4")
        self.assertAlmostEqual(float(four["accuracy"]), sum(l["solved"] for l in lines) / 3, 4)
        self.assertAlmostEqual(float(four["tokens"]), sum(l["usage"]["generated_tokens"] for l in lines) / 3, 2)
        self.assertAlmostEqual(float(four["critical"]), sum(l["usage"]["critical_path_tokens"] for l in lines) / 3, 2)
        self.assertAlmostEqual(float(four["children"]), sum(l["usage"]["threads"] - 1 for l in lines) / 3, 4)
        again = self.run_of("sequential", "--problems-limit", 3)
        self.assertNotIn("running", again.stderr)
        self.assertEqual(self.rows("sequential"), rows)
        next((self.out / "results").glob("*children-4*.jsonl")).unlink()
        third = self.run_of("sequential", "--problems-limit", 3)
        self.assertEqual(third.stderr.count("running"), 1)
        rows = self.rows("sequential")
        mixed = self.run_of("sequential", "--problems-limit", 2)
        self.assertEqual(mixed.returncode, 2)
        self.assertEqual(mixed.stderr, f"bench/paper/run: {self.out}: problems: symbolic was measured with 3, not 2; choose another --out, or measure all of it again\n")
        self.assertEqual(self.rows("sequential"), rows)
        other = self.run_of("symbolic", "sequential", "--problems-limit", 2)
        self.assertEqual(other.stderr.count("running"), began)
        wider = self.run_of("symbolic", "sequential", "--problems-limit", 2, "--threads", 2)
        self.assertEqual((wider.returncode, wider.stderr.count("running")), (0, 0))  # its times are others, which do not count

    def test_a_killed_run_goes_on_with_what_is_left(self):
        words = [SOURCE / "bench/paper/run", "sequential", "--out", self.out, "--banyan", BANYAN, "--model", f"apr={MODEL}",
                 "--problems", MODEL / "heldout.jsonl", "--problems-limit", "3"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=self.out, start_new_session=True) as killed:
            began = 0
            while began < 3:
                line = killed.stderr.readline()
                self.assertTrue(line, "the run ended by itself")
                began += line.startswith("running")
            os.killpg(killed.pid, signal.SIGKILL)
        self.assertFalse((self.out / "sequential.csv").exists())
        kept = {file: file.stat().st_mtime_ns for file in (self.out / "results").glob("*.json")}
        unfinished = line.split()[1]
        (self.out / "results" / f"{unfinished}.jsonl.tmp.tmp-4194999-0").write_text("half")  # if it was killed before it left one itself
        self.assertGreaterEqual(len(kept), 2)
        again = self.run_of("sequential", "--problems-limit", 3)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(again.stderr.count("running"), len(self.rows("sequential")) - len(kept))
        self.assertEqual({file: file.stat().st_mtime_ns for file in kept}, kept)
        self.assertEqual(list((self.out / "results").glob("*.tmp*")), [])

    def test_kept_runs_alone_make_whole_curves(self):
        self.assertEqual(self.run_of("sequential", "symbolic", "--problems-limit", 2).returncode, 0)
        rows = self.rows("sequential")
        kept = self.run_of("sequential", "compute", "symbolic", "--problems-limit", 2, "--kept")
        self.assertEqual(kept.returncode, 0, kept.stderr)
        self.assertNotIn("running", kept.stderr)
        self.assertEqual(self.rows("sequential"), rows)
        self.assertIn("compute: without APR by children: no run apr.problems-2.children-0.temperature-1", kept.stderr)
        self.assertFalse((self.out / "compute.csv").exists())
        next((self.out / "results").glob("*children-4*.jsonl")).unlink()
        less = self.run_of("sequential", "compute", "symbolic", "--problems-limit", 2, "--kept")
        self.assertEqual(less.returncode, 0, less.stderr)
        self.assertEqual([row["series"] for row in self.rows("sequential")], ["APR, unconditioned"])
        page = (self.out / "experiments.md").read_text()
        self.assertIn("\nNot measured yet: APR by children.\n", page)
        self.assertIn("APR + RL (there is no model at models/countdown-3)", page)

    def test_a_page_says_on_which_machines_its_runs_were(self):
        def machines():
            about = json.loads((self.out / "about.json").read_text())
            return about["device"], about["timed_device"]

        first = self.run_of("join", "--problems-limit", 2, "--timed", 2)
        self.assertEqual((first.returncode, first.stderr.count("running")), (0, 16), first.stderr)
        here = f"cpu ({os.cpu_count()} cores)"
        self.assertEqual(machines(), (here, here))
        self.assertIn("(timed ones on\n2), seed", (self.out / "experiments.md").read_text())
        # Accuracy is no matter of the device: a run on another is good, except where it was timed.
        for one in (self.out / "results").glob("*.json"):
            known = json.loads(one.read_text())
            one.write_text(json.dumps({**known, "machine": "another (4 cores)"} if ".on-" not in one.name else known))
        again = self.run_of("join", "--problems-limit", 2, "--timed", 2, "--threads", 2)
        self.assertEqual((again.returncode, again.stderr.count("running")), (0, 12), again.stderr)
        self.assertEqual(machines(), ("another (4 cores)", here))
        self.assertIn(f"(timed ones on\n2 of them, on {here}), seed", (self.out / "experiments.md").read_text())
        self.run_of("symbolic", "--problems-limit", 2, "--timed", 2, "--kept")
        self.assertEqual(machines(), ("another (4 cores)", here))

    def test_what_the_machine_failed_does_not_count(self):
        self.assertEqual(self.run_of("sequential", "--problems-limit", 2).returncode, 0)
        one = next((self.out / "results").glob("*children-4*.json"))
        known = json.loads(one.read_text())
        self.assertEqual(known["command"][known["command"].index("--deadline") + 1], "0")
        known["figures"]["failures"]["deadline"] = 1
        one.write_text(json.dumps(known))
        again = self.run_of("sequential", "--problems-limit", 2)
        self.assertEqual((again.returncode, again.stderr.count("running")), (0, 1), again.stderr)

    def test_what_a_killed_run_began_ends_with_it(self):
        words = [SOURCE / "bench/paper/run", "sequential", "--out", self.out, "--banyan", BANYAN, "--model", f"apr={MODEL}",
                 "--problems", MODEL / "heldout.jsonl", "--threads", "1"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=self.out) as killed:
            while not killed.stderr.readline().startswith("running"):
                self.assertIsNone(killed.poll(), "the run ended by itself")
            children = pathlib.Path(f"/proc/{killed.pid}/task/{killed.pid}/children")
            while not (began := children.read_text().split()):
                pass
            child = os.pidfd_open(int(began[0]))
            self.addCleanup(os.close, child)
            self.addCleanup(lambda: select.select([child], [], [], 0)[0] or signal.pidfd_send_signal(child, signal.SIGKILL))
            while pathlib.Path(f"/proc/{began[0]}/exe").resolve() != BANYAN:
                pass  # not yet beyond exec
            killed.kill()
            killed.wait()
        self.assertTrue(select.select([child], [], [], 60)[0], "it runs on alone")

    def test_the_shipped_pages_can_be_written_again_from_their_tables(self):
        for name in ("experiments", "experiments-4"):
            with self.subTest(name):
                shutil.copytree(SOURCE / "docs" / name, self.out / name)
                shipped = sorted(file.name for file in (self.out / name).iterdir())
                (self.out / f"{name}.md").write_text("to be written again")
                done = subprocess.run([SOURCE / "bench/paper/run", "report", "--out", name], capture_output=True, text=True,
                                      timeout=300, cwd=self.out)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual((self.out / f"{name}.md").read_text(), (SOURCE / "docs" / f"{name}.md").read_text())
                self.assertEqual(sorted(file.name for file in (self.out / name).iterdir()), shipped)

    def test_limits_of_context_reach_as_far_as_the_trees_do(self):
        def outcome(longest):
            return types.SimpleNamespace(problems=[[{"usage": {"longest_context": n}}] for n in longest])

        self.assertEqual(paper.context_limits([outcome([300] * 50 + [900] * 50)]), [192, 256, 320, 384, 448, 512, 576, 640, 768, 1024])
        self.assertEqual(paper.context_limits([outcome([2048] * 99), outcome([4000])])[-1], 2048)  # one of a hundred
        self.assertEqual(paper.context_limits([outcome([2048] * 90), outcome([2049] * 10)])[-1], 4096)

    def test_models_are_those_for_as_many_numbers(self):
        four = self.out / "four.jsonl"
        four.write_text('{"nums": [1, 2, 3, 4], "target": 10}\n' * 2)
        done = subprocess.run([SOURCE / "bench/paper/run", "sequential", "--out", self.out, "--banyan", BANYAN, "--problems", four, "--kept"],
                              capture_output=True, text=True, timeout=500, cwd=self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("there is no model at models/baselines/countdown-4-sft (", done.stderr)
        four.write_text("[1, 2]\n")
        done = subprocess.run([SOURCE / "bench/paper/run", "sequential", "--out", self.out, "--banyan", BANYAN, "--problems", four],
                              capture_output=True, text=True, timeout=500, cwd=self.out)
        self.assertEqual((done.returncode, done.stderr), (2, f"bench/paper/run: --problems {four}: entry 1 is no problem; see `banyan generate problems`\n"))
        four.write_text("\n")
        done = subprocess.run([SOURCE / "bench/paper/run", "sequential", "--out", self.out, "--banyan", BANYAN, "--problems", four],
                              capture_output=True, text=True, timeout=500, cwd=self.out)
        self.assertEqual((done.returncode, done.stderr), (2, f"bench/paper/run: --problems {four}: it is empty; see `banyan generate problems`\n"))

    def test_the_page_says_the_whole_command(self):
        options = ["--problems-limit", 3, "--timed", 2, "--repeats", 2, "--seed", 5, "--threads", 2, "--device", "cpu", "--device", "cpu", "--device-set", "cpu",
                   "--model", f"sosplus={SERIAL}"]
        first = self.run_of("latency", *options)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.run_of("symbolic", "--problems-limit", 3, "--seed", 5, "--device", "cpu", "--device", "cpu")
        said = (self.out / "experiments.md").read_text().split("```sh\n")[1].splitlines()
        common = f"--problems {MODEL / 'heldout.jsonl'} --problems-limit"
        self.assertEqual(said[:2], [
            f"bench/paper/run latency {common} 3 --timed 2 --repeats 2 --threads 2 --seed 5 --device-set cpu "
            f"--model apr={MODEL} --model sosplus={SERIAL} --out {self.out}",
            f"bench/paper/run symbolic {common} 3 --seed 5 --model apr={MODEL} --out {self.out}"])
        what = shlex.split(said[0])[1:]
        again = subprocess.run([SOURCE / "bench/paper/run", *what, "--out", self.out, "--banyan", BANYAN], capture_output=True, text=True,
                               timeout=300, cwd=self.out)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("running", again.stderr)

    def test_what_is_not_there_is_said(self):
        for words, code, said in ((["nothing"], 2, "nothing: there is no such experiment"), (["report"], 3, "there are no results")):
            done = self.run_of(*words)
            self.assertEqual(done.returncode, code)
            self.assertRegex(done.stderr, rf"^bench/paper/run: [^\n]*{said}[^\n]*\n$")
        self.assertIn("give ROLE=DIR", self.run_of("join", "--model", "other=x").stderr)
        for option in ("--timed", "--problems-limit"):
            done = self.run_of("join", option, 1)
            self.assertEqual((done.returncode, done.stderr),
                             (2, f"bench/paper/run: {option} 1: an interval needs two problems at least; give 2 or more\n"))
        (self.out / "half.jsonl").write_text('{"numbers": [1, 2, 3]')
        half = self.run_of("join", "--problems", self.out / "half.jsonl")
        self.assertEqual((half.returncode, half.stderr.count("\n")), (2, 1), half.stderr)
        self.assertIn("half.jsonl: it is not JSON", half.stderr)
        nowhere = self.run_of("join", "--problems-limit", 2, "--out", "/proc/x")
        self.assertEqual((nowhere.returncode, nowhere.stderr.count("\n")), (3, 1), nowhere.stderr)
        self.assertIn("join: no table", self.run_of("join", "--model", f"apr={self.out}", "--problems-limit", 2).stderr)

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
