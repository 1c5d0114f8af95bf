#!/usr/bin/env python3
"""generate_cli_test.py BANYAN [TEST…]: problems and traces, and the files that they go to."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time
import unittest

from cli_case import BANYAN, banyan, cli_case
from daemon import MODEL


def catches(pid, number):
    """Has the process got as far as to handle the signal?"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return int(mask.split()[1], 16) >> (number - 1) & 1


class generate(cli_case):
    def test_problems_do_not_depend_on_workers(self):
        one, three = (banyan("generate", "problems", "--count", 300, "--numbers", 3, "--seed", 4, "--workers", w)
                      for w in (1, 3))
        self.assertEqual(one.returncode, 0)
        self.assertEqual(one.stdout, three.stdout)
        problems = [json.loads(line) for line in one.stdout.splitlines()]
        self.assertEqual(len({(*sorted(p["nums"]), p["target"]) for p in problems}), 300)
        other = banyan("generate", "problems", "--count", 300, "--numbers", 3, "--seed", 5)
        self.assertNotEqual(one.stdout, other.stdout)

    def test_more_problems_than_there_are(self):
        self.refused(2, "generate", "problems", "--count", 99999999999999, "--numbers", 5, names="--count 99999999999999")
        self.refused(2, "generate", "problems", "--count", 600000, "--numbers", 3, names="only 558101")

    def test_excluded_problems_do_not_occur(self):
        first = self.folder / "first.jsonl"
        banyan("generate", "problems", "--count", 200, "--numbers", 2, "--out", first)
        second = banyan("generate", "problems", "--count", 200, "--numbers", 2, "--exclude", first)
        self.assertEqual(second.returncode, 0)

        def keys(text):
            return {(*sorted(p["nums"]), p["target"]) for p in map(json.loads, text.splitlines())}
        self.assertFalse(keys(first.read_text()) & keys(second.stdout))

    def test_excluded_problems_are_left_out_of_given_ones(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n{"nums": [2, 4], "target": 8}\n')
        excluded = self.write("x.jsonl", '{"nums": [7, 25, 3], "target": 54}\n')
        done = banyan("generate", "traces", "--problems", problems, "--exclude", excluded)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line)["nums"] for line in done.stdout.splitlines()], [[2, 4]])
        self.refused(2, "generate", "traces", "--problems", problems, "--exclude", problems, names="all of its problems are excluded")

    def test_problems_of_standard_input(self):
        def traces(text):
            return subprocess.run([BANYAN, "generate", "traces", "--problems", "-"], input=text, capture_output=True,
                                  text=True, timeout=300)
        done = traces('{"nums": [2, 4], "target": 8}\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["nums"], [2, 4])
        self.assertRegex(traces("nonsense").stderr, "^banyan: standard input: line 1: not JSON: ")

    def test_traces_in_every_format_hold_the_same(self):
        words = ["generate", "traces", "--count", 40, "--numbers", 3, "--search", "apr"]
        lines = banyan(*words, "--workers", 2)
        self.assertEqual(lines.returncode, 0)
        array = self.folder / "a.json"
        banyan(*words, "--workers", 1, "--out", array)
        self.assertEqual(json.loads(array.read_text()), [json.loads(x) for x in lines.stdout.splitlines()])
        records = self.folder / "a.trees"
        self.assertEqual(banyan(*words, "--out", records).returncode, 0)
        again = self.folder / "b.trees"
        banyan(*words, "--workers", 3, "--out", again)
        self.assertEqual(records.read_bytes(), again.read_bytes())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["a.json", "a.trees", "b.trees"])

    def test_a_full_disk_leaves_the_earlier_file(self):
        out = self.write("p.jsonl", "earlier\n")

        def no_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        self.refused(3, "generate", "problems", "--count", 500, "--numbers", 3, "--out", out,
                     names="p.jsonl", preexec_fn=no_room)
        self.assertEqual(out.read_text(), "earlier\n")
        self.assertEqual(len(list(self.folder.iterdir())), 1)
        done = self.refused(3, "model", "export", MODEL, "--out", self.folder / "m", names="File too large", preexec_fn=no_room)
        self.assertRegex(done.stderr, f"^banyan: {self.folder}/m/[a-z._]+: cannot write: ")
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_what_is_no_file_is_written_through(self):
        words = ["generate", "traces", "--count", 40, "--numbers", 3, "--out"]
        for form in ("records", "jsonl"):
            with self.subTest(form):
                whole, link, fifo = (self.folder / f"{form}-{name}" for name in ("whole", "link", "fifo"))
                self.assertEqual(banyan(*words, whole, "--format", form).returncode, 0)
                link.symlink_to(f"{form}-target")
                self.assertEqual(banyan(*words, link, "--format", form).returncode, 0)
                self.assertTrue(link.is_symlink())
                self.assertEqual((self.folder / f"{form}-target").read_bytes(), whole.read_bytes())
                os.mkfifo(fifo)
                read = []
                reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
                reader.start()
                self.assertEqual(banyan(*words, fifo, "--format", form).returncode, 0)
                self.assertTrue(fifo.is_fifo())
                reader.join(60)
                self.assertEqual(read, [whole.read_bytes()])

    def test_a_full_device_is_told(self):
        for form in ("records", "jsonl"):
            full = self.full_device()
            self.refused(3, "generate", "traces", "--count", 40, "--numbers", 3, "--out", full, "--format", form, names="full")
            self.assertTrue(full.is_char_device())
            full.unlink()

    def test_a_dash_is_standard_output(self):
        words = ["generate", "traces", "--count", 2, "--numbers", 3]
        dash = banyan(*words, "--out", "-", cwd=self.folder)
        self.assertEqual((dash.returncode, dash.stdout), (0, banyan(*words).stdout))
        self.assertEqual(len(dash.stdout.splitlines()), 2)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.refused(2, *words, "--out", "-", "--format", "records", names="records")

    def test_ctrl_c_leaves_nothing(self):
        out = self.folder / "p.jsonl"
        writer = subprocess.Popen([BANYAN, "generate", "traces", "--count", "9000000", "--numbers", "5", "--out", str(out)])
        while not catches(writer.pid, signal.SIGINT):
            time.sleep(0.01)
        writer.send_signal(signal.SIGINT)
        self.assertEqual(writer.wait(20), 130)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_summaries_of_symbolic_searches(self):
        def summary(*words):
            done = banyan("generate", "traces", "--count", 200, "--numbers", 3, "--seed", 5, "--summary", *words)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        wide = json.loads(summary("--json", "--beam", "15:15", "--spawn-probability", 1))
        self.assertEqual(wide["problems"], 200)
        self.assertGreater(wide["accuracy"], 0.95)
        self.assertGreater(wide["children_mean"], 4)
        narrow = json.loads(summary("--json", "--search", "sos-dfs", "--beam", "1:1"))
        self.assertLess(narrow["accuracy"], wide["accuracy"])
        self.assertEqual(narrow["children_mean"], 0)
        self.assertIn(f"solved      {narrow['solved']} of 200", summary("--search", "sos-dfs", "--beam", "1:1"))
        self.refused(2, "generate", "traces", "--count", 2, "--summary", "--out", self.folder / "t.jsonl", names="--summary")
        for words in (["--only-solved"], ["--max-thread-bytes", 100]):
            self.refused(2, "generate", "traces", "--count", 2, "--summary", *words, names=f"--summary: it is of all searches, and {words[0]}")

    def test_a_file_that_is_read_is_not_written(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        again = self.folder / ".." / self.folder.name / "p.jsonl"
        self.refused(2, "generate", "problems", "--count", 2, "--numbers", 3, "--exclude", problems, "--out", again, names="--out: it is the file of --exclude")
        self.refused(2, "generate", "traces", "--problems", problems, "--out", again, names="--out: it is the file of --problems")
        self.assertEqual(problems.read_text(), '{"nums": [25, 7, 3], "target": 54}\n')

    def test_that_nothing_is_left_is_told(self):
        out = self.folder / "t.jsonl"
        done = banyan("generate", "traces", "--count", 3, "--numbers", 3, "--max-thread-bytes", 10, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("none of 3 searches is left", done.stderr)
        self.refused(2, "train", "sft", "--out", self.folder / "x", "--traces", out, names="there is no demonstration in it")

    def test_rejection_sampling_of_searches(self):
        def traces(*words, out="t.jsonl"):
            done = banyan("generate", "traces", "--search", "sos+", "--count", 100, "--numbers", 3, "--seed", 5, "--out",
                          self.folder / out, *words)
            self.assertEqual(done.returncode, 0, done.stderr)
            return self.folder / out

        def lines(path):
            return [json.loads(line) for line in path.read_text().splitlines()]

        every = lines(traces())
        solved = [t for t in every if t["rating"] > 0]
        self.assertTrue(0 < len(solved) < len(every))
        self.assertEqual(lines(traces("--only-solved")), solved)
        short = [t for t in solved if len(t["search_path"]) <= 800]
        self.assertTrue(0 < len(short) < len(solved))
        self.assertEqual(lines(traces("--only-solved", "--max-thread-bytes", 800)), short)
        self.assertEqual(json.loads(traces("--only-solved", "--max-thread-bytes", 800, out="t.json").read_text()), short)
        self.assertEqual(json.loads(traces("--max-thread-bytes", 1, out="none.json").read_text()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
