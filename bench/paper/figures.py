"""Figures from the tables, by gnuplot; each as SVG for documents and as PNG to look at."""

import math
import re
import shutil
import subprocess
from collections import namedtuple

from lab import TITLES

# Which column is the x axis of which table. Points of a series are joined. With `panels`, a column, each of its values has a panel of
# its own, all with the same axes; or, with several `ys`, each of these columns has one.
figure = namedtuple("figure", "table name x title label log panels ys", defaults=(False, None, ("accuracy",)))
FIGURES = [
    figure("compute", "compute", "tokens", "Accuracy against compute", "tokens generated in total, mean a problem", True),
    figure("scaling", "scaling", "tokens", "Accuracy against compute at several temperatures", "tokens generated in total, mean a problem", True,
           "temperature"),
    figure("sequential", "sequential", "critical", "Accuracy against sequential tokens", "tokens on the critical path, mean a problem"),
    figure("context", "context", "context", "Accuracy against the context limit", "tokens of the longest thread, at most"),
    figure("latency", "latency", "wall_ms", "Accuracy against wall time", "milliseconds a problem, one at a time", False, "devices"),
    figure("rl", "rl", "setting", "Before and after reinforcement learning", "children asked for", False, None, ("accuracy", "children", "tokens")),
    figure("temperature", "temperature", "setting", "Accuracy against temperature", "sampling temperature"),
]
Y_LABELS = {"accuracy": "solved, % (95 % interval)", "children": "children obtained, mean", "tokens": "tokens, mean a problem"}
NOT_ASKED, NOT_ASKED_AT = "not asked", 13.0  # its place on the axis of children asked for

# A colour for each role, of those that people who see few colours tell apart (Okabe and Ito); a shape for each variant.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
POINTS = (5, 7, 9, 11, 13, 4, 6, 8)
ROLES = dict(zip(TITLES.values(), COLOURS, strict=False))
VARIANTS = {"": (7, 1), "unconditioned": (7, 1), "children asked": (5, 1), "0 children asked": (4, 1), "token budget": (9, 1), "cons@k": (11, 1),
            "pass@k": (10, 3), "3 children asked": (9, 1), "6 children asked": (11, 1), "10 children asked": (5, 1), "--context": (6, 3),
            "token budget 1024": (13, 2), "token budget 4096": (12, 2), "temperature 1": (6, 3)}
LABELLED = ("children asked", "token budget")  # curves whose points have their settings beside them

# One drawing area: `series` has by name points (x, y, low, high, setting), or None where the line breaks.
area = namedtuple("area", "title y series")


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def place(row, x):
    return NOT_ASKED_AT if row.get(x) == NOT_ASKED else number(row.get(x))


def series_of(rows, x, y="accuracy"):
    """Points by series, in the order of the table; rows without an x, or without a y, are not in the figure."""
    found = {}
    scale = 100 if y == "accuracy" else 1
    for row in rows:
        at = place(row, x)
        if at is not None and number(row.get(y)) is not None:
            found.setdefault(row["series"], []).append(
                (at, *(scale * float(row[name]) for name in (y, y + "_low", y + "_high")), row["setting"]))
    return found


def beside_each_other(series):
    """Where all series have the same few x, their points would hide each other."""
    xs = [point[0] for points in series.values() for point in points]
    step = 0.006 * (max(xs) - min(xs))
    return {name: [(x + step * (i - (len(series) - 1) / 2), *rest) for x, *rest in points] for i, (name, points) in enumerate(series.items())}


def broken(series):
    """The same, with None wherever a series has no point at a setting that another has: no line over what was not measured."""
    xs = sorted({x for points in series.values() for x, *_ in points})

    def parts(points):
        for i, point in enumerate(points):
            if i and (xs.index(point[0]) - xs.index(points[i - 1][0]) > 1 or NOT_ASKED_AT in (point[0], points[i - 1][0])):
                yield None
            yield point

    return {name: list(parts(points)) for name, points in series.items()}


def shifted(series):
    marked = broken(series)
    moved = beside_each_other(series)
    return {name: [None if point is None else next(places) for point in points]
            for name, points in marked.items() for places in [iter(moved[name])]}


def by_panel(one, rows):
    """(title, rows) of the panels that the values of a column make."""
    if one.panels == "devices":
        def devices(row):
            said = re.search(r", (\d+ devices?)", row["series"])
            return said[1] if said else ""

        for value in dict.fromkeys(map(devices, rows)):
            yield value, [{**row, "series": row["series"].replace(f", {value}", "", 1)} for row in rows if devices(row) == value]
    elif one.panels:
        for value in dict.fromkeys(row[one.panels] for row in rows):
            yield f"{one.panels} {value}", [row for row in rows if row[one.panels] == value]
    else:
        warm = [{**row, "series": f"{row['series']}, temperature 1"} if one.name == "rl" and number(row.get("temperature")) else row for row in rows]
        yield "", warm


def areas(one, rows):
    found = [area(title, y, series_of(part, one.x, y)) for title, part in by_panel(one, rows) for y in one.ys]
    if one.name == "rl":  # curves over children asked for: what has none is in the table alone
        asked = {name for a in found for name, points in a.series.items() if len(points) > 1}
        found = [a._replace(series={name: points for name, points in a.series.items() if name in asked}) for a in found]
    found = [a for a in found if a.series]
    return [a._replace(series=shifted(a.series)) if one.x in ("setting", "context") else a for a in found]


def role_and_variant(name):
    role = max((title for title in TITLES.values() if re.match(re.escape(title) + r"(, | (cons|pass)@k|$)", name)), key=len, default=None)
    return role, name[len(role or ""):].removeprefix(",").strip()


def look(i, name):
    """Point type, dash type and colour of the i-th series."""
    role, variant = role_and_variant(name)
    if role and variant in VARIANTS:
        return *VARIANTS[variant], ROLES[role]
    return POINTS[(i + i // len(COLOURS)) % len(POINTS)], 1, ROLES.get(role, COLOURS[i % len(COLOURS)])


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def panel(series, first):
    """The curves of one panel: their points as gnuplot's data blocks, from number `first` on, and the plot of them."""
    blocks, plots = [], []
    for i, (name, points) in enumerate(series.items()):
        block = f"$s{first + i}"
        lines = ["" if point is None else "{} {} {} {}".format(*point[:4]) for point in points]
        blocks += [f"{block} << END", *lines, "END"]
        shape, dashes, colour = look(i, name)
        style = "yerrorlines" if len(points) > 1 else "yerrorbars"
        plots.append(f"{block} using 1:2:3:4 with {style} lw 1.5 ps 0.9 pt {shape} lc rgb '{colour}' dt {dashes} title {quoted(name)}")
    return blocks, "plot " + ", \\\n  ".join(plots)


def labels(series, log, x_bounds, y_bounds, char):
    """What stands beside the points of the curves that have labels: each where it meets no point and no other label. `char`: the size of a
    letter, in parts of the axes."""
    def part(value, bounds, log=False):
        low, high, value = (math.log(v) for v in (*bounds, value)) if log else (*bounds, value)
        return (value - low) / (high - low)

    def spot(point):
        return part(point[0], x_bounds, log), part(point[1], y_bounds)

    taken = [(*spot(point), 0.3 * char[0], 0.3 * char[1]) for points in series.values() for point in points if point]
    for i, (name, points) in enumerate(series.items()):
        if role_and_variant(name)[1] not in LABELLED:
            continue
        for point in filter(None, points):
            x, y = spot(point)
            half = 0.6 * char[0] * len(str(point[4])), 0.5 * char[1]
            places = [(x + right * (half[0] + 0.7 * char[0]), y + up * char[1]) for up in (-0.75, 0.75, -1.5, 1.5, -2.25, 2.25, -3, 3) for right in (1, -1)]

            def free(place):
                return all(abs(place[0] - ox) >= half[0] + w or abs(place[1] - oy) >= half[1] + h for ox, oy, w, h in taken)

            best = next(filter(free, places), places[0])
            taken.append((*best, *half))
            yield f"set label {quoted(point[4])} at graph {best[0]:.4f},{best[1]:.4f} center front tc rgb '{look(i, name)[2]}'"


def ticks(least, most, count=6):
    """Round numbers from at or below `least` to at or above `most`."""
    raw = (most - least or 1) / count
    unit = 10 ** math.floor(math.log10(raw))
    step = unit * next(m for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * 0.999)
    return [step * i for i in range(math.floor(least / step), math.ceil(most / step) + 1)]


def x_axis(one, xs):
    """Range and tics, said explicitly."""
    least, most = min(xs), max(xs)
    if least == most and not one.log:
        least, most = least - 1, most + 1
    if one.log:
        marks = [2**i for i in range(math.ceil(math.log2(least / 1.2)), math.floor(math.log2(most * 1.2)) + 1)]
        bounds = least / 1.2, most * 1.2
    elif one.x in ("setting", "context"):
        marks = sorted({x for x in xs})
        room = 0.05 * (most - least or 1)
        bounds = least - room, most + room
    else:
        marks = ticks(least, most)
        bounds = marks[0] - 0.02 * (marks[-1] - marks[0]), marks[-1]
    said = ", ".join(f"{quoted(NOT_ASKED)} {x}" if x == NOT_ASKED_AT and one.name == "rl" else f"{x:g}" if x < 1e5 else f"{x:.0f}" for x in marks)
    return bounds, f"set xtics ({said})"


def y_axis(a):
    lows = [point[2] for points in a.series.values() for point in points if point]
    highs = [point[3] for points in a.series.values() for point in points if point]
    return (max(0, 10 * int((min(lows) - 3) / 10)), 100.5) if a.y == "accuracy" else (0, 1.05 * max(highs))


def script(one, rows, kind, target):
    found = areas(one, rows)
    if not found:
        return ""
    many = len(found) > 1
    width, height, letters = (1.6 if len(found) > 2 else 1.25 if many else 1, 1.1 if many else 1, 12)
    if kind != "svg":
        width, height, letters = 1.5 * width, 1.5 * height, 15
    title = f"{one.title} ({rows[0]['problems']} problems)"
    xs = sorted({place(row, one.x) for _, part in by_panel(one, rows) for row in part if place(row, one.x) is not None})
    x_bounds, marks = x_axis(one, xs)
    lines = [f"set terminal {kind} noenhanced size {960 * width:.0f},{540 * height:.0f} font 'DejaVu Sans,{letters}' background '#ffffff'",
             f"set output {quoted(target)}", f"set xlabel {quoted(one.label)}",
             "set grid xtics ytics lt 1 lw 0.5 lc rgb '#cccccc'", "set border 3", "set tics nomirror", *(["set logscale x 2"] if one.log else []),
             f"set xrange [{x_bounds[0]}:{x_bounds[1]}]", marks]
    if many:
        entries = max(len(a.series) for a in found)
        lines += ["set key below left Left reverse samplen 2 maxcols 1",
                  f"set bmargin {entries * 1.15 + 4:.1f}", f"set multiplot layout 1,{len(found)} title {quoted(title)}"]
    else:
        lines += [f"set title {quoted(title)}", "set key outside right Left reverse samplen 2"]
    same = y_axis(area("", "accuracy", {f"{i} {name}": points for i, a in enumerate(found) for name, points in a.series.items()}))
    char = (0.012 * len(found) / width * (1 if kind == "svg" else 1.25), 0.03)
    drawn = 0
    for a in found:
        y_bounds = same if len(one.ys) == 1 else y_axis(a)
        blocks, plot = panel(a.series, drawn)
        drawn += len(a.series)
        lines += [*blocks, f"set yrange [{y_bounds[0]}:{y_bounds[1]}]", "unset label", *labels(a.series, one.log, x_bounds, y_bounds, char), f"set ylabel {quoted(Y_LABELS[a.y])}",
                  *([f"set title {quoted(a.title)}"] if a.title else []), plot]
    return "\n".join(lines) + "\n"


def files_of(one, folder):
    return [folder / f"{one.name}.{kind}" for kind in ("svg", "png")]


def draw(tables, folder, say, kinds=("svg", "pngcairo")):
    """`tables`: rows by the name of their experiment."""
    program = shutil.which("gnuplot")
    if not program:
        say("no figures: gnuplot is not there (apt-get install gnuplot-nox); those that are there stay")
        return
    for one in FIGURES:
        for kind in kinds:
            target = folder / f"{one.name}.{kind[:3]}"
            target.unlink(missing_ok=True)
            text = script(one, tables.get(one.table, []), kind, target)
            if text:
                done = subprocess.run([program, "-d", "-"], input=text, text=True, capture_output=True)
                if done.returncode != 0:
                    target.unlink(missing_ok=True)
                    why = [line for line in done.stderr.splitlines() if line.strip()]
                    say(f"no figure {target}: gnuplot: {why[-1].strip() if why else f'ended with {done.returncode}'}")
