"""Figures from the tables, by gnuplot; each as SVG for documents and as PNG to look at."""

import shutil
import subprocess
from collections import namedtuple

# Which column is the x axis of which table, and which series belong into it. Points of a series are joined.
# With `panels`, a column, each of its values has a panel of its own, all with the same axes.
figure = namedtuple("figure", "table name x title label log panels", defaults=(False, None))
FIGURES = [
    figure("compute", "compute", "tokens", "Accuracy against compute", "tokens generated in total, mean a problem", True),
    figure("scaling", "scaling", "tokens", "Accuracy against compute at several temperatures", "tokens generated in total, mean a problem", True,
           "temperature"),
    figure("sequential", "sequential", "critical", "Accuracy against sequential tokens", "tokens on the critical path, mean a problem"),
    figure("context", "context", "context", "Accuracy against the context limit", "tokens of the longest thread, at most"),
    figure("latency", "latency", "wall_ms", "Accuracy against wall time", "milliseconds a problem, one problem at a time"),
    figure("rl", "rl", "setting", "Before and after reinforcement learning", "children asked for"),
    figure("temperature", "temperature", "setting", "Accuracy against temperature", "sampling temperature"),
]

# Colours that people who see few colours tell apart (Okabe and Ito).
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
POINTS = (5, 7, 9, 11, 13, 4, 6, 8)


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def series_of(rows, x):
    """Points by series, in the order of the table; rows without an x, or without an accuracy, are not in the figure."""
    found = {}
    for row in rows:
        at = number(row.get(x))
        if at is not None and number(row.get("accuracy")) is not None:
            found.setdefault(row["series"], []).append(
                (at, *(100 * float(row[name]) for name in ("accuracy", "accuracy_low", "accuracy_high")), row["setting"]))
    return found


def beside_each_other(series):
    """Where all series have the same few x, their points would hide each other."""
    xs = {x for points in series.values() for x, *_ in points}
    step = 0.005 * (max(xs) - min(xs))
    return {name: [(x + step * (i - (len(series) - 1) / 2), *rest) for x, *rest in points]
            for i, (name, points) in enumerate(series.items())}


def panel(series, first):
    """The curves of one panel: their points as gnuplot's data blocks, from number `first` on, and the plot of them."""
    blocks, plots = [], []
    for i, (name, points) in enumerate(series.items()):
        block = f"$s{first + i}"
        blocks += [f"{block} << END", *(f"{x} {y} {low} {high} {setting or '-'}" for x, y, low, high, setting in points), "END"]
        shape = POINTS[(i + i // len(COLOURS)) % len(POINTS)]  # the ninth curve has the first colour, but not the first shape
        style = "yerrorlines" if len(points) > 1 else "yerrorbars"
        colour = f"lc rgb '{COLOURS[i % len(COLOURS)]}'"
        dashes = "dt 3" if "pass@k" in name or "--context" in name else "dt 1"
        plots.append(f"{block} using 1:2:3:4 with {style} lw 1.5 ps 0.9 pt {shape} {colour} {dashes} title \"{name}\"")
        if name.endswith("children asked"):
            plots.append(f"{block} using 1:2:5 with labels offset 1.2,-0.6 tc{colour.removeprefix('lc')} notitle")
    return blocks, "plot " + ", \\\n  ".join(plots)


def script(one, rows, kind, target):
    wanted = list(dict.fromkeys(row[one.panels] for row in rows)) if one.panels else [None]
    panels = {value: series_of([row for row in rows if value is None or row[one.panels] == value], one.x) for value in wanted}
    panels = {value: series for value, series in panels.items() if series}
    if not panels:
        return ""
    if one.x in ("setting", "context"):
        panels = {value: beside_each_other(series) for value, series in panels.items()}
    points = [point for series in panels.values() for curve in series.values() for point in curve]
    lowest = min(low for _, _, low, _, _ in points)
    width, height, letters = (1.5 if one.panels else 1, 1, 12) if kind == "svg" else (2.25 if one.panels else 1.5, 1.5, 15)
    title = f"{one.title} ({rows[0]['problems']} problems)"
    lines = [f"set terminal {kind} noenhanced size {960 * width:.0f},{540 * height:.0f} font 'DejaVu Sans,{letters}' background '#ffffff'",
             f"set output '{target}'", f"set xlabel '{one.label}'", "set ylabel 'solved, % (95 % interval)'",
             f"set yrange [{max(0, 10 * int((lowest - 3) / 10))}:100.5]", "set grid xtics ytics lt 1 lw 0.5 lc rgb '#cccccc'", "set border 3",
             "set tics nomirror"]
    if one.log:
        lines.append("set logscale x 2")
    if one.panels:
        least, most = min(x for x, *_ in points), max(x for x, *_ in points)
        lines += [f"set xrange [{least / 1.2}:{most * 1.2}]", "set key bottom right Left reverse samplen 2",
                  f"set multiplot layout 1,{len(panels)} title \"{title}\""]
    else:
        lines += [f"set title \"{title}\"", "set key outside right Left reverse samplen 2", "set offsets graph 0.04, graph 0.04, 0, 0"]
    drawn = 0
    for value, series in panels.items():
        blocks, plot = panel(series, drawn)
        drawn += len(series)
        lines += [*blocks, *([f"set title '{one.panels} {value}'"] if one.panels else []), plot]
    return "\n".join(lines) + "\n"


def draw(tables, folder, say, kinds=("svg", "pngcairo")):
    """`tables`: rows by the name of their experiment."""
    program = shutil.which("gnuplot")
    if not program:
        say("no figures: gnuplot is not there (apt-get install gnuplot-nox)")
        return
    for one in FIGURES:
        for kind in kinds:
            text = script(one, tables.get(one.table, []), kind, folder / f"{one.name}.{kind[:3]}")
            if text:
                subprocess.run([program, "-d", "-"], input=text, text=True, check=True)
