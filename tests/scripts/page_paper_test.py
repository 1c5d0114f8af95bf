#!/usr/bin/env python3
"""page_paper_test.py: what the page says of the paper's claims, what it knows of models, and what its figures show."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from paper_told import SOURCE, run_of, runner, sample, told  # noqa: E402
import claims  # noqa: E402
import demonstrations  # noqa: E402
import experiments as paper  # noqa: E402
import figures  # noqa: E402
import report  # noqa: E402


def row(series, setting, accuracy, half=0.01, tokens=100.0, **more):
    found = {"series": series, "setting": str(setting), "problems": "100", "accuracy": accuracy, "accuracy_low": accuracy - half, "accuracy_high": accuracy + half}
    for name, value in {"tokens": tokens, "critical": tokens, "children": 0.0, **more}.items():
        found[name] = value
        if name not in ("temperature", "context", "better", "worse", "p"):
            found |= {name + "_low": value * 0.99 if name != "difference" else value - 3, name + "_high": value * 1.01 if name != "difference" else value + 3}
    return {name: str(value) for name, value in found.items()}


FACTS = {"numbers": 4, "models": []}


def said(name, rows, **others):
    return list(claims.CLAIMS[name]({name: rows, **others}, FACTS))


class what_the_tables_say(unittest.TestCase):
    def compute(self, *accuracies):
        apr = [row("APR, children asked", n, a, tokens=100 * n) for n, a in zip((2, 4, 6), accuracies, strict=True)]
        return said("compute", apr + [row(f"SoS+ {kind}@k", f"k = {k}", 0.4 + 0.03 * k, tokens=100 * k) for kind in ("cons", "pass") for k in range(1, 9)])

    def test_apr_is_compared_with_samples_at_equal_tokens(self):
        same, passes, small = self.compute(0.3, 0.65, 0.9)
        self.assertEqual(same[0], "agrees")
        self.assertIn("APR 90.0 % at 600.0 tokens against 61.0 % for SoS+ cons@7 at 700.0 (+29.0 points [", same[1])
        self.assertEqual(passes[0], "agrees")
        self.assertIn("beyond chance when asked for 6 children (90.0 % at 600.0 tokens: 25 % fewer, +", passes[1])
        self.assertIn("within chance already when asked for 4 children (65.0 % at 400.0 tokens: 50 % fewer)", passes[1])
        self.assertEqual(small[0], "agrees")  # 30 % where the samples have 46
        self.assertIn("up to 200.0 tokens (-16.0 points [", small[1])

    def test_what_does_not_hold_is_said(self):
        same, passes, small = self.compute(0.45, 0.5, 0.55)
        self.assertEqual([same[0], passes[0]], ["disagrees", "disagrees"])
        same, passes, small = self.compute(0.5, 0.6, 0.615)
        self.assertEqual([same[0], passes[0], small[0]], ["undecided", "disagrees", "disagrees"])

    def test_a_context_in_which_apr_is_behind_is_named(self):
        rows = [row(series, limit, a, context=limit) for series, accuracies in (("APR, 3 children asked", (0.1, 0.5, 0.6)), ("SoS+", (0.3, 0.5, 0.5)))
                for limit, a in zip((512, 1024, 2048), accuracies, strict=True)]
        (verdict, text), = said("context", rows)
        self.assertEqual(verdict, "disagrees")
        self.assertIn("+10.0 points", text)
        self.assertIn("beyond chance at 2,048, below it at 512", text)

    def test_rl_is_judged_at_each_temperature(self):
        rows = [row("APR", "not asked", 0.9, temperature=0.0, children=5), row("APR + RL", "not asked", 0.89, temperature=0.0, difference=-1, better=1, worse=2, children=5),
                row("APR", "not asked", 0.7, temperature=1.0, children=5), row("APR + RL", "not asked", 0.79, temperature=1.0, difference=9, better=9, worse=0, children=6)]
        cold, warm = said("rl", rows)
        self.assertEqual([cold[0], warm[0]], ["undecided", "agrees"])
        self.assertIn("-1.0 points [-4.0, 2.0], 1 problems won and 2 lost", cold[1])
        self.assertIn("children 5.0 to 6.0 (+20 %)", warm[1])

    def test_a_model_that_does_not_keep_to_its_budget_is_named(self):
        rows = [row("APR", n, 0.5, children=n) for n in (0, 2, 4)] + [row("APR + RL", n, 0.5, children=9) for n in (0, 2, 4)]
        facts = {"models": [{"title": "APR + RL", "budgets": 0.3}]}
        keeps, does_not = claims.obeys({"rl": rows}, facts)
        self.assertNotIn("does not keep", keeps)
        self.assertIn("0: 9.0, 2: 9.0, 4: 9.0; it does not keep to what it is asked (its reinforcement had a budget in 30 % of the prompts)", does_not)

    def test_more_devices_that_help_nothing_are_named(self):
        rows = [row(f"{title}, {n} device{'s' * (n > 1)}", "", accuracy, wall_ms=ms, wall_ms_ratio=1.0) for n, ms in ((1, 100), (2, 101))
                for title, accuracy in (("APR", 0.9), ("SoS+", 0.5))]
        *_, last = said("latency", rows)
        self.assertEqual(last[0], "undecided")
        self.assertIn("2 devices are not faster here", last[1])
        rows = [{**r, "wall_ms": "50", "wall_ms_high": "51"} if "2 devices" in r["series"] else r for r in rows]
        self.assertEqual(said("latency", rows)[-1][0], "agrees")

    def test_times_that_may_be_equal_are_undecided(self):
        def quick(ratio):
            rows = [row("APR, 1 device", "", 0.9, wall_ms=100, wall_ms_ratio=ratio), row("SoS+, 1 device", "", 0.5, wall_ms=100)]
            return said("latency", rows)[0][0]

        self.assertEqual([quick(0.2), quick(1.0), quick(9.0)], ["agrees", "undecided", "disagrees"])

    def test_the_setting_that_bears_a_claim_is_quoted(self):
        curve = [row("APR, children asked", n, a, critical=c) for n, a, c in ((2, 0.71, 100), (4, 0.8, 200), (6, 0.9, 5000))]
        (verdict, text), = said("sequential", [*curve, row("SoS+, unconditioned", "", 0.5, critical=1000)])
        self.assertEqual(verdict, "agrees")
        self.assertIn("asked for 4 children, APR solves 80.0 % with 200.0 sequential tokens", text)
        (verdict, text), = said("sequential", [curve[-1], row("SoS+, unconditioned", "", 0.5, critical=1000)])
        self.assertEqual(verdict, "disagrees")
        self.assertIn("asked for 6 children", text)

    def test_all_that_a_model_learnt_from_is_named(self):
        rows = [row(f"demonstrations of {title}", setting, a) for title, setting, a in (("APR", "wide", 0.99), ("APR", "narrow", 0.9), ("SoS+", "", 0.8))]
        self.assertEqual([text for _, text in said("symbolic", rows)][-2:], ["what APR learnt from solves 99.0 % and 90.0 %", "what SoS+ learnt from solves 80.0 %"])

    def test_temperatures_that_differ_have_a_verdict_each(self):
        rows = [row("APR against SoS+", t, 0.9, difference=d) for t, d in ((0.0, 8), (0.5, 4), (1.0, 1))]
        (verdict, text), = said("temperature", [], against=rows)
        self.assertEqual(verdict, "agrees at 0 and 0.5, undecided at 1")
        self.assertIn("+8.0 points [5.0, 11.0] at temperature 0 (the paper +18.2)", text)

    def test_a_temperature_that_is_not_measured_is_not_agreed_on(self):
        def curves(t):
            return [row("APR, children asked", 2, 0.9, temperature=t), row("SoS+ cons@k", "k = 7", 0.5, temperature=t)]

        self.assertEqual(said("scaling", curves(0.5) + curves(1.0))[0][0], "agrees")
        self.assertEqual(said("scaling", curves(0.5)[:1] + curves(1.0))[0][0], "agrees at 1")

    def test_repeats_of_a_setting_bound_what_is_an_effect(self):
        def repeats(most, count=3):
            return {**row("APR, 1 device", "", 0.9), "wall_ms_least": "100", "wall_ms_most": str(most), "repeats": str(count)}

        known = {"latency": [repeats(104), repeats(150, 1)], "join": [repeats(120), repeats(101)]}
        self.assertIn("took 4 % longer than its quickest in the median, 20 % at most", claims.repeated(known))
        self.assertEqual(claims.repeated({"latency": [repeats(150, 1)]}), "")


class what_models_say(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_shipped_models_tell_their_searches(self):
        four = SOURCE / "models" / "baselines" / "countdown-4-sft"
        found = demonstrations.origin(four)
        self.assertEqual((found["search"], found["root_beam"], found["sub_beam"], found["order"], found["from"], found["beam"]),
                         ("apr", "1:30", "15:15", "generation", "random weights", 30))
        self.assertEqual(round(found["trained_tokens"] / 1e6), 748)
        self.assertEqual([search["beam"] for search in demonstrations.searches(SOURCE / "models/baselines/countdown-3-sft")], ["1:15", "15:15"])
        self.assertEqual(demonstrations.origin(SOURCE / "models/countdown-4")["budgets"], 0.3)

    def test_searches_are_read_from_a_script_where_they_were_written_down_before(self):
        (self.folder / "train.conf").write_text("search = sos\nbeam = 15:15\ntraces = a\n")
        (self.folder / "train.sh").write_text('kinds="--max-result 9"\nfor s in sos-bfs sos-dfs; do\n  x/banyan generate traces --search "$s" \\\n'
                                              '    --beam 1:7 $kinds --out "$s.trees"\ndone\nx/banyan train sft --search sos\n')
        self.assertEqual(demonstrations.searches(self.folder), [{"search": "sos-dfs", "beam": "1:7", "max-result": "9"},
                                                                {"search": "sos-bfs", "beam": "1:7", "max-result": "9"}])

    def test_what_a_folder_does_not_say_is_left_open(self):
        self.assertEqual((demonstrations.origin(self.folder), demonstrations.searches(self.folder)), ({}, []))
        (self.folder / "train.conf").write_text("search = apr\nbeam = 1:5\n")
        self.assertIsNone(demonstrations.origin(self.folder)["trained_tokens"])
        (self.folder / "log.jsonl").write_text('{"step": 1, "tokens": 7}\n{"step": 3, "tokens": 21}\n')
        self.assertEqual(demonstrations.origin(self.folder)["trained_tokens"], 21)
        (self.folder / "train.sh").write_text("# The model is the checkpoint of step 2; the run went on\n")
        self.assertEqual(demonstrations.origin(self.folder)["trained_tokens"], 7)

    def test_the_page_says_that_searches_differ_in_width(self):
        models = {"APR": {"beam": 30, "trained_tokens": 748e6, "folder": "a"}, "SoS+": {"beam": 5, "trained_tokens": 162e6, "from": "a"}}
        text = report.width(models)
        self.assertIn("up to 30 operations (the paper's 10), those of SoS+ up to 5", text)
        self.assertIn("SoS+ from 162 M more, from APR's weights", text)
        self.assertNotIn("width", report.width({**models, "SoS+": {"beam": 30}}))


class what_figures_show(unittest.TestCase):
    def named(self, name):
        return next(one for one in figures.FIGURES if one.name == name)

    def written(self, experiment, findings, roles):
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch)
            runner().write_table(out / f"{experiment.__name__}.csv", list(experiment(told(findings, roles))))
            return report.read(out)[experiment.__name__]

    def points(self, text):
        """What the script draws: x, y, low, high of each curve, None where it breaks."""
        blocks = [block.split("\nEND")[0].split("\n")[1:] for block in text.split(" << END")[1:]]
        return [[tuple(map(float, line.split()[:4])) if line else None for line in block] for block in blocks]

    def test_the_sequential_figure_is_over_sequential_tokens(self):
        rows = self.written(paper.sequential, lambda role, options: [[sample(1, 1000, 10 * (1 + options.get("children", 0)))]] * 4, ("apr",))
        curves = self.points(figures.script(self.named("sequential"), rows, "svg", "x.svg"))
        self.assertEqual([[point[0] for point in curve] for curve in curves], [[10], [30, 50, 70, 90, 110], [10]])

    def test_intervals_are_the_right_way_up(self):
        rows = self.written(paper.sequential, lambda role, options: [[sample(1, 10)], [sample(0, 30)]], ("apr",))
        for curve in self.points(figures.script(self.named("sequential"), rows, "svg", "x.svg")):
            for _, y, low, high in curve:
                self.assertLess(low, y)
                self.assertLess(y, high)

    def test_figures_5_and_7_show_what_was_not_asked_and_what_it_costs(self):
        def findings(role, options):
            children = options.get("children", 11)
            return [[sample(i < 2, 100 + children, children=children)] for i in range(4)]

        rows = self.written(paper.rl, findings, ("apr", "apr-rl"))
        text = figures.script(self.named("rl"), rows, "svg", "x.svg")
        curves = self.points(text)
        self.assertEqual(len(curves), 3 * 4)  # accuracy, children, tokens; two models at two temperatures
        for curve in curves:
            self.assertEqual((len(curve), curve[1]), (8, None))  # no line from what was not asked
        for panel, value in ((0, 50), (1, 11), (2, 111)):
            for curve in curves[4 * panel:4 * panel + 4]:
                self.assertAlmostEqual(curve[0][1], value)
        self.assertEqual([round(point[1]) for point in curves[4][2:]], [0, 2, 4, 6, 8, 10])
        self.assertIn('"not asked" 13', text)
        for label in ("solved, %", "children obtained", "tokens, mean"):
            self.assertIn(f'set ylabel "{label}', text)

    def test_a_line_ends_where_a_setting_is_not_measured(self):
        curves = figures.broken({"all": [(0, 1), (0.1, 1), (1, 1)], "two": [(0, 1), (1, 1)]})
        self.assertEqual(curves, {"all": [(0, 1), (0.1, 1), (1, 1)], "two": [(0, 1), None, (1, 1)]})

    def test_a_role_has_one_colour_and_a_variant_one_shape(self):
        def look(name):
            return figures.look(0, name)

        self.assertEqual(look("APR, children asked")[2], look("APR")[2])
        self.assertEqual(look("APR, children asked")[:2], look("APR + RL, children asked")[:2])
        colours = [look(title)[2] for title in figures.TITLES.values()]
        self.assertEqual(len(set(colours)), len(colours))
        self.assertNotEqual(look("SoS+ cons@k")[:2], look("SoS+ pass@k")[:2])
        self.assertEqual(look("SoS+ cons@k")[2], look("SoS+")[2])

    def test_wall_times_have_a_panel_for_each_number_of_devices(self):
        rows = [row(f"APR, {n} device{'s' * (n > 1)}{more}", setting, 0.5, wall_ms=100 * n) for n in (1, 2) for more, setting in (("", ""), (", children asked", 2))]
        found = figures.areas(self.named("latency"), rows)
        self.assertEqual([(a.title, list(a.series)) for a in found], [("1 device", ["APR", "APR, children asked"]), ("2 devices", ["APR", "APR, children asked"])])

    def test_labels_hide_neither_points_nor_each_other(self):
        series = {"APR, children asked": [(10, 50, 49, 51, 2), (10.1, 50, 49, 51, 4), (10.2, 50, 49, 51, 6)]}
        places = [tuple(map(float, line.split(" at graph ")[1].split(" ")[0].split(","))) for line in figures.labels(series, False, (0, 20), (0, 100), (0.02, 0.04))]
        self.assertEqual(len(set(places)), 3)
        for i, (x, y) in enumerate(places):
            for other_x, other_y in places[:i] + [(0.5, 0.5), (0.51, 0.5)]:
                self.assertTrue(abs(x - other_x) > 0.01 or abs(y - other_y) > 0.02, places)

    def test_names_with_quotes_stay_names(self):
        self.assertEqual(figures.quoted('a "b" \\c'), '"a \\"b\\" \\\\c"')

    def test_one_value_alone_has_an_axis(self):
        for one in figures.FIGURES:
            if one.name == "rl":  # curves alone
                continue
            self.assertIn("set xrange", figures.script(one, [row("APR", 1, 0.5, temperature=1.0, context=7, wall_ms=5)], "svg", "x.svg"))


class the_page(unittest.TestCase):
    def test_a_column_is_there_where_a_table_has_it(self):
        old = [{"series": "APR", "setting": "not asked", "accuracy": "0.5", "children": "3"}]
        self.assertEqual(list(report.table("rl", old))[0], "| model | children asked | solved, % | children obtained |")
        new = [{**old[0], "failures": "no solution 3", "claimed_wrong": "0", "temperature": "1"}]
        self.assertEqual(list(report.table("rl", new))[0], "| model | children asked | temperature | solved, % | children obtained | claimed, wrong | failures |")

    def test_the_paper_s_sosplus_is_beside_ours_of_its_beam(self):
        rows = [row("SoS+", t, 0.9) for t in (0.0, 1.0)] + [row("SoS+ (beam size = 5)", t, 0.5) for t in (0.0, 1.0)]
        facts = {"models": [{"title": "SoS+", "beam": 15}, {"title": "SoS+ (beam size = 5)", "beam": 5}]}
        page = "\n".join(report.tables(rows, report.series_by_beam(facts)))
        self.assertEqual(page.count("| SoS+ | 57.3 / 50.0 ["), 2)
        self.assertEqual(page.count("| SoS+ (beam size = 15), not the paper's | – / 90.0 ["), 2)
        self.assertIn("began with beams of up to 15", page)
        alone = "\n".join(report.tables(rows, report.series_by_beam({"models": [{"title": "SoS+", "beam": 5}]})))
        self.assertEqual(alone.count("| SoS+ | 57.3 / 90.0 ["), 2)
        self.assertNotIn("not the paper's", alone)

    def test_children_that_are_asked_for_are_the_paper_s_enforced(self):
        page = "\n".join(report.tables([row("APR, 10 children asked", 0.0, 0.5)], {}))
        self.assertIn("| APR, children enforced | 83.2 / 50.0 [", page)


if __name__ == "__main__":
    unittest.main(verbosity=2)
