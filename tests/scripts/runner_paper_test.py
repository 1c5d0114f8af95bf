#!/usr/bin/env python3
"""runner_paper_test.py: what `bench/paper/run` keeps, takes for its own, and refuses; with a program that stands in for `banyan`."""

import csv
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from paper_told import SOURCE, stand_in  # noqa: E402


class with_stand_in(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.program, self.model = stand_in(self.folder)
        self.out = self.folder / "out"
        self.problems = self.folder / "p.jsonl"
        self.problems.write_text("".join(f'{{"nums": [{n}, 2, 3, 4, 5, 6], "target": 10}}\n' for n in range(1, 5)))

    def run_of(self, *words, model=True, path=None):
        asked = ["--out", self.out, "--banyan", self.program, "--problems", self.problems, *(["--model", f"apr={self.model}"] if model else [])]
        return subprocess.run([SOURCE / "bench/paper/run", *map(str, [*words, *asked])], capture_output=True, text=True, timeout=300, cwd=self.folder,
                              env={**os.environ, **({"PATH": path} if path else {})})

    def runs(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr.count("running")

    def refused(self, done, code, text):
        self.assertEqual(done.returncode, code, done.stderr)
        *said, last = done.stderr.splitlines()
        self.assertTrue(last.startswith("bench/paper/run: ") and text in last, done.stderr)
        self.assertFalse([line for line in said if not line.startswith("running ") and ": without " not in line], done.stderr)

    def about(self):
        return json.loads((self.out / "about.json").read_text())

    def results(self, pattern):
        return sorted((self.out / "results").glob(pattern))


class what_is_kept(with_stand_in):
    def test_a_result_that_is_not_whole_is_run_again(self):
        everything = self.runs(self.run_of("sequential"))
        self.assertEqual(self.runs(self.run_of("sequential")), 0)
        lines = self.results("apr.*children-4*.jsonl")[0]
        whole = lines.read_text()
        for broken in (whole[:-20], "".join(whole.splitlines(keepends=True)[:-1]), whole.replace("[2, 2,", "[9, 2,", 1), whole.encode() + b"\xff"):
            lines.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
            self.assertEqual(self.runs(self.run_of("sequential")), 1, broken)
            self.assertEqual(lines.read_text(), whole)
        lines.with_suffix(".json").write_text("{")
        self.assertEqual(self.runs(self.run_of("sequential")), 1)
        self.assertGreater(everything, 1)

    def test_another_model_is_run_anew_where_its_tokenizer_alone_is_another(self):
        everything = self.runs(self.run_of("sequential"))
        for name in ("tokenizer.json", "config.json", "model.safetensors"):
            (self.model / name).write_text(f"another {name}")
            self.assertEqual(self.runs(self.run_of("sequential")), everything, name)

    def test_results_of_before_there_were_digests_of_all_files_are_good(self):
        self.run_of("sequential")
        for one in self.results("*.json"):
            known = json.loads(one.read_text())
            del known["identity"]["files"]
            one.write_text(json.dumps(known))
        self.assertEqual(self.runs(self.run_of("sequential")), 0)
        (self.model / "model.safetensors").write_text("others")
        self.assertGreater(self.runs(self.run_of("sequential")), 0)

    def test_a_timed_run_is_of_one_machine(self):
        everything = self.runs(self.run_of("latency", "--device-set", "cpu", "--repeats", 1))
        self.assertEqual(everything, 6)
        for one in self.results("*.on-cpu.json"):
            one.write_text(json.dumps({**json.loads(one.read_text()), "machine": "another (4 cores)"}))
        kept = self.run_of("latency", "--device-set", "cpu", "--repeats", 1, "--kept")  # all of that machine: a page can be made here
        self.assertEqual(self.runs(kept), 0)
        self.assertEqual(self.about()["timed_device"], "another (4 cores)")
        self.assertEqual(self.runs(self.run_of("latency", "--device-set", "cpu", "--repeats", 1)), 6)
        one = self.results("*children-4*.on-cpu.json")[0]
        one.write_text(json.dumps({**json.loads(one.read_text()), "machine": "another (4 cores)"}))
        mixed = self.run_of("latency", "--device-set", "cpu", "--repeats", 1, "--kept")
        self.assertIn("latency: without APR, 1 device, children asked: no run", mixed.stderr)

    def test_repeats_that_are_not_all_there_are_left_out(self):
        self.assertEqual(self.runs(self.run_of("latency", "--device-set", "cpu", "--repeats", 2)), 12)
        self.results("*children-4*.again-1.json")[0].unlink()
        self.assertEqual(self.runs(self.run_of("latency", "--device-set", "cpu", "--repeats", 2, "--kept")), 0)
        with open(self.out / "latency.csv", newline="") as lines:
            self.assertEqual({row["repeats"] for row in csv.DictReader(lines)}, {"1"})

    def test_a_table_without_rows_goes_and_its_figure_with_it(self):
        self.run_of("sequential", "symbolic")
        (self.out / "sequential.svg").touch()
        for file in (self.out / "results").iterdir():
            file.unlink()
        gone = self.run_of("sequential", "--kept")
        self.assertEqual(gone.returncode, 0, gone.stderr)
        self.assertFalse((self.out / "sequential.csv").exists() or (self.out / "sequential.svg").exists())
        self.assertEqual(list(self.about()["experiments"]), ["symbolic"])
        page = (self.out / "experiments.md").read_text()
        self.assertNotIn("run sequential", page)
        self.assertIn("run symbolic", page)


class what_a_page_says(with_stand_in):
    def test_tables_of_other_problems_or_models_do_not_mix(self):
        self.run_of("symbolic", "sequential")
        self.problems.write_text(self.problems.read_text().replace("[1,", "[7,"))
        self.refused(self.run_of("sequential"), 2, "problems: symbolic was measured with ")
        self.run_of("symbolic", "sequential")
        (self.model / "tokenizer.json").write_text("another")
        self.refused(self.run_of("sequential"), 2, "APR: symbolic was measured with ")

    def test_models_of_other_problems_are_forgotten(self):
        self.run_of("sequential", "--model", f"sosplus={self.model}")
        self.assertEqual([m["title"] for m in self.about()["models"]], ["APR", "SoS+"])
        self.problems.write_text('{"nums": [1, 2, 3, 4, 5], "target": 10}\n' * 2)
        self.run_of("sequential")
        self.assertEqual([m["title"] for m in self.about()["models"]], ["APR"])

    def test_the_conditions_are_those_of_each_table(self):
        self.run_of("sequential", "--threads", 3)
        self.run_of("latency", "--threads", 2, "--timed", 3, "--device-set", "cpu", "--repeats", 1)
        self.run_of("sequential", "latency", "--timed", 3, "--device-set", "cpu", "--repeats", 1, "--threads", 2, "--kept")
        entries = self.about()["experiments"]
        self.assertEqual((entries["sequential"]["threads"], entries["latency"]["threads"], entries["latency"]["timed"]), ("3", "2", 3))
        self.assertNotIn("timed", entries["sequential"])
        page = (self.out / "experiments.md").read_text()
        self.assertIn("one problem at a time, on 3 problems, 2 OS threads for each run, on cpu", page)
        common = f"--problems {self.problems}"
        for line in (f"bench/paper/run sequential {common} --threads 3 --model apr={self.model} --out {self.out}",
                     f"bench/paper/run latency {common} --timed 3 --repeats 1 --threads 2 --device-set cpu --model apr={self.model} --out {self.out}",
                     f"bench/paper/run report --out {self.out}"):
            self.assertIn(f"\n{line}\n", page)

    def test_a_page_without_wall_times_names_none(self):
        self.run_of("sequential", "latency", "--kept")
        self.run_of("sequential")
        self.assertNotIn("timed ones", (self.out / "experiments.md").read_text())

    def test_a_page_says_where_it_is_to_be_written_again(self):
        page = self.folder / "pages" / "here.md"
        page.parent.mkdir()
        self.assertEqual(self.runs(self.run_of("symbolic", "--to", page)), 0)
        self.assertIn(f"run report --out {self.out} --to {page}\n", page.read_text())
        before = page.read_text()
        again = subprocess.run([SOURCE / "bench/paper/run", "report", "--out", "here"], cwd=page.parent, capture_output=True, text=True, timeout=60)
        self.assertEqual((again.returncode, page.read_text()), (0, before), again.stderr)

    def test_a_model_s_demonstrations_are_searched_with_its_own_options(self):
        (self.model / "train.conf").write_text("search = apr\nbeam = 1:30\nsub-beam = 15:15\nspawn-probability = 0.9\norder = generation\nmax-result = 199\n")
        self.run_of("symbolic")
        asked = [json.loads(line) for line in (self.program.parent / "asked").read_text().splitlines()]
        first = next(words for words in asked if words[0] == "generate")
        self.assertEqual(first[first.index("--search"):], "--search apr --beam 1:30 --sub-beam 15:15 --spawn-probability 0.9 --order generation "
                                                          "--max-result 199".split())
        page = (self.out / "experiments.md").read_text()
        self.assertIn("| demonstrations of APR | --search apr --beam 1:30 ", page)
        self.assertIn("| published APR | --search apr --beam 1:10 ", page)


class what_is_refused(with_stand_in):
    def test_problems_that_are_none(self):
        for content, text in ((b"\xff\xfe", "it is not JSON"), (b'{"nums": 5, "target": 1}\n' * 2, "entry 1 is no problem"),
                              (b'{"nums": [1, 2], "target": 3}\n{"target": 3}\n', "entry 2 is no problem"),
                              (b'{"nums": [5], "target": 3}\n' * 2, "entry 1 is no problem"),
                              (b'{"nums": [1, 2, 3], "target": 3}\n{"nums": [1, 2], "target": 3}\n', "entry 2 has 2 numbers and the first has 3"),
                              (b'{"nums": [1, "a"], "target": 3}\n' * 2, "entry 1 is no problem"),
                              (b'{"nums": [1, 2], "target": 3}\n', "an interval needs two problems at least"), (b"", "it is empty")):
            self.problems.write_bytes(content)
            self.refused(self.run_of("symbolic"), 2, text)
        self.problems = self.folder
        self.refused(self.run_of("symbolic"), 2, "Is a directory")

    def test_a_program_that_is_none(self):
        self.program.chmod(0o644)
        self.refused(self.run_of("symbolic"), 2, "it is no program")
        self.program.chmod(0o755)
        self.program.write_bytes(b"\x00\x01")
        self.refused(self.run_of("symbolic"), 2, "--banyan")
        self.program = self.folder
        self.refused(self.run_of("symbolic"), 2, "it is no program")

    def test_what_the_program_refuses_is_passed_on(self):
        for code in (2, 3):
            (self.program.parent / "fails").write_text(f"{code} banyan: model: it is broken; take another")
            self.refused(self.run_of("sequential"), code, "banyan: model: it is broken; take another")
        (self.program.parent / "fails").write_text("1 oh")
        self.refused(self.run_of("sequential"), 3, "ended with 1: oh; run it again")

    def test_two_runs_do_not_write_into_one_folder(self):
        self.out.mkdir()
        held = os.open(self.out, os.O_RDONLY)
        self.addCleanup(os.close, held)
        fcntl.flock(held, fcntl.LOCK_SH)  # even one who reads alone
        self.refused(self.run_of("symbolic"), 3, "another run is at work there")

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_a_figure_that_cannot_be_drawn_is_not_an_old_one(self):
        self.runs(self.run_of("sequential"))
        bin = self.folder / "bin"
        bin.mkdir()
        (bin / "gnuplot").write_text("#!/bin/sh\necho 'oh no' >&2\nexit 1\n")
        (bin / "gnuplot").chmod(0o755)
        self.assertTrue((self.out / "sequential.svg").exists())
        done = self.run_of("report", path=f"{bin}:{os.environ['PATH']}", model=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 2), done.stderr)
        self.assertIn("sequential.svg: gnuplot: oh no", done.stderr)
        self.assertFalse((self.out / "sequential.svg").exists())

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_a_figure_goes_with_its_table(self):
        self.runs(self.run_of("sequential", "symbolic"))
        (self.out / "sequential.csv").unlink()
        self.runs(self.run_of("report", model=False))
        self.assertFalse((self.out / "sequential.svg").exists())

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_a_folder_may_have_quotes_in_its_name(self):
        self.out = self.folder / "it's \"out\""
        self.runs(self.run_of("sequential"))
        self.assertTrue((self.out / "sequential.svg").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
