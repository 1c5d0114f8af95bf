#!/usr/bin/env python3
"""tables_paper_test.py BANYAN [TEST…]: tables, figures and statistics of results made by hand."""

import json
import math
import shutil
import unittest
import xml.etree.ElementTree

from daemon import SOURCE
from paper_case import paper_case
from paper_told import runner, sample, told
import experiments as paper
import figures
import lab
import report
import statistics95


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


class results_made_by_hand(paper_case):
    """Ten problems of which both solve five, only APR three, only SoS+ one, and one nobody."""

    APR_SOLVES, SOSPLUS_SOLVES = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0, 1, 0]

    def findings(self, role, options):
        if role == "apr":
            tokens = 100 * max(1, options.get("children", 5))
            return [[sample(solved, tokens, tokens // 2, children=3)] for solved in self.APR_SOLVES]
        return [[sample(solved, 400)] * options.get("samples", 1) for solved in self.SOSPLUS_SOLVES]

    def written(self, experiment, roles=("apr", "sosplus"), findings=None):
        """The rows of an experiment as they are in its CSV."""
        runner().write_table(self.out / f"{experiment.__name__}.csv", list(experiment(told(findings or self.findings, roles))))
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
