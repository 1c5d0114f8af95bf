#!/usr/bin/env python3
"""paper_test.py BANYAN: the paper's experiments on a few problems and on results made by hand; their statistics against the
program's own."""

import csv
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree

BANYAN = pathlib.Path(sys.argv.pop(1)).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODEL = SOURCE / "models" / "countdown-3"
SERIAL = SOURCE / "models" / "baselines" / "countdown-3-sosplus"
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench" / "paper"))
import experiments as paper  # noqa: E402
import figures  # noqa: E402
import lab  # noqa: E402
import report  # noqa: E402
import statistics95  # noqa: E402


def program():
    """`bench/paper/run` as a module."""
    loader = importlib.machinery.SourceFileLoader("paper_run", str(SOURCE / "bench/paper/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("paper_run", loader))
    loader.exec_module(module)
    return module


def sample(solved, tokens, critical=None, wall_ms=1.0, children=0):
    return {"solved": bool(solved), "usage": {"threads": 1 + children, "depth": 1, "rounds": 1, "generated_tokens": tokens,
                                              "critical_path_tokens": critical or tokens, "wasted_tokens": 0, "wall_ms": wall_ms,
                                              "longest_context": tokens}}


class told:
    """A lab that knows what its runs found: `findings(role, options)` gives the samples of each problem."""

    def __init__(self, findings, roles):
        self.findings, self.known, self.timed, self.device_sets = findings, roles, 2, [["cpu"]]
        self.repeats = 1

    def has(self, role, who):
        return role in self.known

    def roles(self, who, *wanted):
        return [role for role in wanted if role in self.known]

    def whole(self, who, title, rows):
        return list(rows)

    def evaluate(self, role, limit=None, devices=None, **options):
        problems = self.findings(role, options)
        k = len(problems[0])
        rates = [{"k": i, "rate": i / 10, "ci95": [i / 10 - 0.05, i / 10 + 0.05]} for i in range(1, k + 1)]
        return lab.run(role, {"samples": k, "pass_at_k": rates, "cons_at_k": rates}, [one for problem in problems for one in problem])


class drawing:
    """What gnuplot drew: the points of each curve in pixels, and all words."""

    def __init__(self, file):
        root = xml.etree.ElementTree.parse(file).getroot()
        self.words = [" ".join("".join(e.itertext()).split()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
        self.curves = []
        for group in root.iter("{http://www.w3.org/2000/svg}g"):
            if group.get("id", "").startswith("gnuplot_plot_"):
                uses = [e.get("transform") for e in group.iter("{http://www.w3.org/2000/svg}use") if e.get("color") != "#FFFFFF"]
                points = [tuple(map(float, u[len("translate("):u.index(")")].split(","))) for u in uses]
                if points:
                    self.curves.append(points[:-1])  # the last is the key's


class results_made_by_hand(unittest.TestCase):
    """Ten problems of which both solve five, only APR three, only SoS+ one, and one nobody."""

    APR_SOLVES, SOSPLUS_SOLVES = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0, 1, 0]

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = pathlib.Path(scratch.name)

    def findings(self, role, options):
        if role == "apr":
            tokens = 100 * max(1, options.get("children", 5))
            return [[sample(solved, tokens, tokens // 2, children=3)] for solved in self.APR_SOLVES]
        return [[sample(solved, 400)] * options.get("samples", 1) for solved in self.SOSPLUS_SOLVES]

    def written(self, experiment, roles=("apr", "sosplus"), findings=None):
        """The rows of an experiment as they are in its CSV."""
        program().write_table(self.out / f"{experiment.__name__}.csv", list(experiment(told(findings or self.findings, roles))))
        return report.read(self.out)[experiment.__name__]

    def assert_is(self, row, **wanted):
        for column, value in wanted.items():
            self.assertAlmostEqual(float(row[column]), value, 3, column)

    # Newcombe: Wilson has 0.8 in [0.4902, 0.9433] and 0.6 in [0.3127, 0.8318]; 5 * 1 - 3 * 1 < 10 / 2, so nothing is correlated:
    # 0.2 - sqrt(0.30984^2 + 0.23182^2) = -0.18696, 0.2 + sqrt(0.14332^2 + 0.28733^2) = 0.52109. McNemar: 2 (1 + 4) / 2^4.
    PAIRED = {"difference": 20, "difference_low": -18.696, "difference_high": 52.109, "better": 3, "worse": 1, "p": 0.625}

    def test_a_paired_interval_is_the_one_computed_by_hand(self):
        pair = statistics95.paired(self.APR_SOLVES, self.SOSPLUS_SOLVES)
        for name, wanted in (("difference", 0.2), ("low", -0.18696), ("high", 0.52109), ("p", 0.625)):
            self.assertAlmostEqual(pair[name], wanted, 4, name)

    def test_a_small_p_is_not_written_as_none(self):
        self.assertEqual([report.cell({"p": p}, "p") for p in (1e-9, 0.0006, 0.625, "")], ["< 0.001", "0.001", "0.625", "–"])

    def test_a_ratio_has_the_interval_computed_by_hand(self):
        # Logarithms -ln 2, 0, ln 2: mean 0, deviation ln 2; t for two degrees of freedom is 4.3027.
        half = math.exp(4.30265 * math.log(2) / math.sqrt(3))
        for found, wanted in zip(statistics95.ratio_interval([100, 200, 400], [200, 200, 200]), (1, 1 / half, half)):
            self.assertAlmostEqual(found, wanted, 3)
        for freedom, t in ((1, 12.7062), (2, 4.3027), (3, 3.1824), (9, 2.2622), (10, 2.2281), (39, 2.0227)):
            self.assertAlmostEqual(statistics95.student(freedom), t, 4)

    def test_apr_is_paired_with_sosplus(self):
        rows = self.written(paper.against)
        self.assertEqual(len(rows), 4 + 4 + 3)
        first = rows[0]
        self.assertEqual((first["series"], first["setting"], first["problems"]), ("APR against SoS+", "0.0", "10"))
        self.assert_is(first, accuracy=0.8, accuracy_low=0.4902, accuracy_high=0.9433, their_accuracy=0.6, their_accuracy_low=0.3127,
                       tokens=500, critical=250, children=3, generated_tokens_ratio=500 / 400, critical_path_tokens_ratio=250 / 400, **self.PAIRED)
        eight = next(row for row in rows if row["series"] == "APR, 10 children asked against SoS+ pass@8")
        self.assert_is(eight, their_accuracy=0.6, generated_tokens_ratio=1000 / 3200, critical_path_tokens_ratio=500 / 400)

    def test_a_temperature_is_compared_with_the_first(self):
        def warmer(role, options):
            return [[sample(s, 100)] for s in (self.SOSPLUS_SOLVES if options["temperature"] == 0 else self.APR_SOLVES)]

        rows = list(paper.temperature(told(warmer, ("sosplus", "sosplus-rejection"))))
        self.assertEqual([row["setting"] for row in rows], [0.0, 0.1, 0.5, 1.0, 0.0, 1.0])
        self.assertEqual([i for i, row in enumerate(rows) if "difference" not in row], [0, 4])
        for i in (1, 2, 3, 5):
            self.assert_is(rows[i], **self.PAIRED)

    def test_table_2_has_our_demonstrations_where_they_belong(self):
        solves = {"sosplus": 9, "sosplus-beam5": 5, "sosplus-rejection": 7}
        rows = self.written(paper.temperature, tuple(solves), lambda role, options: [[sample(i < solves[role], 100)] for i in range(10)])

        def page(**beams):
            facts = {"models": [{"title": lab.TITLES[role], "beam": beam} for role, beam in beams.items()]}
            return "\n".join(report.tables(rows, report.series_by_beam(facts)))

        for line in ("| SoS+ (baseline) | 57.3 / 50.0 [", "| SoS+ (beam size = 15) | 50.9 / 90.0 [", "| SoS+ (rejection sampling) | 56.5 / 70.0 ["):
            self.assertIn(line, page(**{"sosplus": 15, "sosplus-beam5": 5, "sosplus-rejection": 5}))
        for line in ("| SoS+ (baseline) | 57.3 / 90.0 [", "| SoS+ (beam size = 15) | 50.9 / not measured |"):  # as the paper's
            self.assertIn(line, page(sosplus=5))

    def test_wall_times_are_compared_problem_by_problem(self):
        def timed(role, options):
            return [[sample(1, 100, wall_ms=ms)] for ms in ((100, 200, 400) if role == "apr" else (200, 200, 200))]

        rows = list(paper.latency(told(timed, ("apr", "sosplus"))))
        self.assert_is(rows[0], wall_ms=700 / 3, wall_ms_ratio=1, wall_ms_ratio_low=0.1787, wall_ms_ratio_high=5.5950)
        self.assertNotIn("wall_ms_ratio", rows[-1])
        self.assertNotIn("wall_ms_ratio", next(iter(paper.latency(told(timed, ("apr",))))))
        joined = list(paper.join(told(lambda role, options: timed(role if options.get("join") == "all" else "", options), ("apr",))))
        self.assertEqual(["wall_ms_ratio" in row for row in joined], [False, True] * 2)
        self.assert_is(joined[1], wall_ms_ratio=1, wall_ms_ratio_low=0.1787)

    def test_curves_do_not_look_alike(self):
        many = {f"curve {i}": [(0, 1, 0, 2, "")] for i in range(20)}
        looks = [plot.split(" pt ")[1].split(" title ")[0] for plot in figures.panel(many, 0)[1].split("\n")]
        self.assertEqual(len(set(looks)), 20)

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_figure_8_has_a_panel_for_each_temperature_with_every_curve(self):
        rows = self.written(paper.scaling)
        self.assertEqual(len(rows), 3 * (5 + 8 + 8))
        figures.draw({"scaling": rows}, self.out, self.fail)
        seen = drawing(self.out / "scaling.svg")
        for words in ("temperature 0.1", "temperature 0.5", "temperature 1.0"):
            self.assertEqual(seen.words.count(words), 1, seen.words)
        for words in ("APR, children asked", "SoS+ cons@k", "SoS+ pass@k"):
            self.assertEqual(seen.words.count(words), 3, seen.words)
        self.assertEqual([len(curve) for curve in seen.curves], 3 * [5, 8, 8])
        # cons@k is k / 10 at 400 k tokens: on the logarithmic axis and on the other, points are where they belong.
        (x1, y1), (x2, y2), *_, (x8, y8) = seen.curves[1]
        self.assertAlmostEqual((x8 - x1) / (x2 - x1), 3, 1)
        self.assertAlmostEqual((y8 - y1) / (y2 - y1), 7, 1)
        # All panels have the same axes.
        for curve in (4, 7):
            self.assertEqual([y for _, y in seen.curves[curve]], [y for _, y in seen.curves[1]])
            steps = [round(x - before, 1) for (x, _), (before, _) in zip(seen.curves[curve], seen.curves[1])]
            self.assertGreater(min(steps), 100)  # beside each other
            self.assertLess(max(steps) - min(steps), 0.3)

    @unittest.skipUnless(shutil.which("gnuplot"), "no gnuplot")
    def test_figures_have_the_points_of_their_tables(self):
        names = ("compute", "sequential", "temperature")
        tables = {name: self.written(getattr(paper, name)) for name in names}
        figures.draw(tables, self.out, self.fail)
        for name in names:
            one = next(f for f in figures.FIGURES if f.name == name)
            wanted = figures.series_of(tables[name], one.x)
            seen = drawing(self.out / f"{name}.svg")
            self.assertEqual([len(curve) for curve in seen.curves], [len(points) for points in wanted.values()], name)
            for series in wanted:
                self.assertIn(series, seen.words, name)

    def test_the_page_takes_its_tables_with_it(self):
        self.written(paper.against)
        about = {"numbers": 3, "weights": "1 M", "vocabulary": 68, "device": "cpu", "problems": 10, "timed": 2, "seed": "0", "models": [],
                 "absent": {}, "commands": ["bench/paper/run against"]}
        (self.out / "about.json").write_text(json.dumps(about))
        page = self.out / "docs" / "experiments.md"
        page.parent.mkdir()
        report.write(self.out, page)
        self.assertIn("[against.csv](experiments/against.csv)", page.read_text())
        for file in ("against.csv", "about.json"):
            self.assertEqual((page.parent / "experiments" / file).read_text(), (self.out / file).read_text())
        self.assertIn("| APR against SoS+ | 0.0 | 80.0 [49.0, 94.3] | 60.0 [31.3, 83.2] | +20.0 [-18.7, 52.1] | 3 | 1 | 0.625 | 1.25 [1.25, 1.25] | 1.25 [1.25, 1.25] |",
                      page.read_text())


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
