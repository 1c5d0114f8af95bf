"""Writes the page about the experiments from their tables (CSV): ours beside the paper's."""

import csv
import json
import os
import shutil

import published
from figures import FIGURES, number
from lab import NOT_RUN

INTRODUCTION = """# The paper's experiments, in small

Written by `bench/paper/run report` from the tables beside the figures (CSV, linked under each); `bench/paper/run all` measures them.

**These are not the paper's conditions.** The paper has Countdown with four numbers and a model of 228 M weights (without embeddings) on GPUs, decoded
by SGLang; ours has **{numbers_in_words} numbers** and a model of {weights} weights, on {device}. {what_differs};
what can be compared is which curve lies above which, and what grows and what does not. Every setting is run on the same **{problems} problems** (timed ones on
{timed}{timed_where}), seed {seed}; brackets are 95 % intervals (accuracy: Wilson; means: normal; differences of two runs: paired, Newcombe's method 10, with
McNemar's exact p, not corrected for the number of comparisons; ratios of costs: the geometric mean of the ratios problem by problem, Student's t on
their logarithms). Where all curves have their points at the same settings, they are drawn a little beside each other.
"""

# How the figures differ from the paper's for that.
EASIER = ("Our accuracies are therefore higher and our token counts lower (a trace is shorter, and our vocabulary of {vocabulary} has the fixed "
          "phrases as single tokens)")
AS_HARD = ("Tokens are not the paper's (in our vocabulary of {vocabulary} each digit is one, and so is each fixed phrase), and the "
           "demonstrations list what may be done next in the order in which it is generated, which a small model can learn")
WORDS = {3: "three", 4: "four", 5: "five"}

# (title, columns, what the paper says)
SECTIONS = {
    "compute": ("Accuracy against compute (figure 4a)", ("accuracy", "tokens", "critical", "children"), published.COMPUTE,
                "Temperature 1. APR is told how many children it may have; samples of one problem are combined by majority (cons@k) or by "
                "whether one is right (pass@k)."),
    "scaling": ("Accuracy against compute at several temperatures (figure 8)", ("temperature", "accuracy", "tokens", "critical", "children"),
                published.SCALING,
                "APR by the children asked for, SoS+ by samples, as above. Not at temperature 0, where all samples are the same."),
    "sequential": ("Accuracy against sequential tokens (figure 6, left)", ("accuracy", "critical", "tokens", "children"), published.SEQUENTIAL,
                   "Greedy. Sequential tokens are the longest chain that had to be generated one after the other."),
    "context": ("Accuracy against the context limit (figure 4b)", ("accuracy",), published.CONTEXT,
                "Greedy. As in the paper, one run each, in which a tree counts as wrong where its longest thread is longer than the limit. "
                "`--context`: the limit is in force instead, so a child that outgrows it reads as *no solution* and its parent goes on."),
    "latency": ("Accuracy against wall time (figure 6, right)", ("accuracy", "wall_ms", "wall_ms_ratio", "critical", "children"), published.LATENCY,
                "Greedy, one problem at a time; a device is a pool of its own with one OS thread. Wall times want a machine that does nothing else. "
                "The ratio is that of APR to SoS+ (of APR + RL to SoS+ + RL) on the same devices and problems: below 1, APR is quicker."),
    "rl": ("Before and after reinforcement learning (figures 5 and 7)",
           ("accuracy", "children", "tokens", "tokens_a_thread", "difference", "p"), published.RL,
           "Greedy. The difference is RL minus supervised on the same problems, in points."),
    "temperature": ("Accuracy against temperature (tables 1 to 3)", ("accuracy", "tokens", "children", "difference", "p"), published.TEMPERATURE,
                    "The difference is to temperature 0 of the same model on the same problems, in points. "
                    "Our SoS+ learnt from beams of up to {sosplus_beam}; the paper's baseline has 5{beam5_row}."),
    "against": ("APR against SoS+, paired",
                ("accuracy", "their_accuracy", "difference", "better", "worse", "p", "generated_tokens_ratio", "critical_path_tokens_ratio"),
                published.AGAINST,
                "At the temperature beside it. The difference is APR minus SoS+ on the same problems, in points; better and worse are the problems "
                "that only one of the two solves; the ratios are of APR's tokens to those of SoS+. pass@8 is right where one of eight samples is, "
                "which is more than cons@8 can be."),
    "symbolic": ("Symbolic searches", ("accuracy", "children"),
                 ["has no such figures; on four numbers the searches of its reference implementation solve "
                  + ", ".join(f"{share} % ({name})" for name, share in published.SYMBOLIC.items())],
                 "What the searches themselves solve that demonstrations are made with: `banyan generate traces --summary`."),
    "join": ("What going on at the first success saves", ("accuracy", "tokens", "critical", "wasted", "wall_ms", "wall_ms_ratio", "difference", "p"),
             ["the paper joins all children always"],
             "Greedy. `first_success` cancels the other children when one has the answer; wasted tokens are those of children that nobody "
             "waited for. Wall time is of one problem at a time, on {timed} problems. The difference and the ratio are to `all`."),
}
HEADINGS = {"accuracy": "solved, %", "tokens": "tokens", "critical": "sequential tokens", "children": "children", "wall_ms": "wall time, ms",
            "tokens_a_thread": "tokens a thread", "wasted": "wasted tokens", "difference": "difference", "p": "p",
            "temperature": "temperature", "their_accuracy": "SoS+ solved, %", "better": "better", "worse": "worse",
            "wall_ms_ratio": "wall time, ratio", "generated_tokens_ratio": "tokens, ratio",
            "critical_path_tokens_ratio": "sequential tokens, ratio"}
DIGITS = {"p": 3, "better": 0, "worse": 0}


def cell(row, column):
    value = number(row.get(column))
    if value is None:
        return "–"
    if column == "p" and value < 0.0005:
        return "< 0.001"
    scale = 100 if column.endswith("accuracy") else 1
    digits = DIGITS.get(column, 2 if column.endswith("_ratio") else 1)
    if abs(value * scale) >= 1000:
        digits = 0
    text = f"{'+' if column == 'difference' and value > 0 else ''}{scale * value:,.{digits}f}"
    low, high = number(row.get(column + "_low")), number(row.get(column + "_high"))
    if low is None or high is None:
        return text
    low = round(scale * low, digits) + 0.0  # no -0.0
    return f"{text} [{low:,.{digits}f}, {scale * high:,.{digits}f}]"


def table(rows, columns):
    columns = [c for c in columns if any(number(row.get(c)) is not None for row in rows)]
    yield "| | | " + " | ".join(HEADINGS[c] for c in columns) + " |"
    yield "|---|---|" + "---|" * len(columns)
    last = None
    for row in rows:
        name = row["series"] if row["series"] != last else ""
        last = row["series"]
        yield f"| {name} | {row['setting']} | " + " | ".join(cell(row, c) for c in columns) + " |"


def by_limit(rows):
    """One row a limit, one column a series: the long table of the context experiment on its side."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    yield "| limit | " + " | ".join(series) + " |"
    yield "|---|" + "---|" * len(series)
    for limit in dict.fromkeys(row["setting"] for row in rows):
        at = {row["series"]: row for row in rows if row["setting"] == limit}
        yield f"| {limit} | " + " | ".join(cell(at[s], "accuracy") if s in at else "–" for s in series) + " |"


def said_of(facts):
    """What the page says of the conditions, in words."""
    beams = {m["title"]: m.get("beam") for m in facts["models"]}
    hard = AS_HARD if facts["numbers"] >= 4 else EASIER
    timed_on = facts.get("timed_device", "")
    where = facts["device"] or timed_on
    return {**facts, "device": where, "timed_where": f" of them, on {timed_on}" if timed_on not in ("", where) else "",
            "numbers_in_words": WORDS.get(facts["numbers"], facts["numbers"]), "what_differs": hard.format(**facts),
            "sosplus_beam": beams.get("SoS+") or "an unknown number",
            "beam5_row": ", and is a row of its own here" if "SoS+ (beam size = 5)" in beams else ""}


def series_by_beam(facts):
    """What the paper calls our series, where both mean a beam and call it otherwise."""
    beams = {m["title"]: m.get("beam") for m in facts["models"]}
    names = {5: "SoS+ (baseline)", 15: "SoS+ (beam size = 15)"}
    return {names[beam]: title for title, beam in beams.items() if title in ("SoS+", "SoS+ (beam size = 5)") and beam in names}


def beside(title, theirs, rows, renamed, temperatures=published.TEMPERATURES):
    """A table of the paper with our figures beside its own; `renamed` has our series by the paper's name where they differ."""
    ours = {(row["series"], float(row["setting"])): row for row in rows}
    yield f"**{title}**: the paper's accuracy / ours, %"
    yield ""
    yield "| | " + " | ".join(f"temperature {t}" for t in temperatures) + " |"
    yield "|---|" + "---|" * len(temperatures)
    for name, accuracies in theirs.items():
        known = accuracies if isinstance(accuracies, dict) else dict(zip(published.TEMPERATURES, accuracies))
        series = renamed.get(name, name)
        yield f"| {name} | " + " | ".join(
            f"{known[t]} / {cell(ours[(series, t)], 'accuracy') if (series, t) in ours else 'not measured'}" for t in temperatures) + " |"
    yield ""


def tables(rows, renamed):
    yield "## Tables 1 to 3"
    yield ""
    yield "Ours are rows of the table above."
    yield ""
    yield from beside("Table 1, SoS and SoS+", published.TABLE_1, rows, renamed)
    yield from beside("Table 2, demonstrations of SoS+", published.TABLE_2, rows, renamed, (0.0, 1.0))
    yield from beside("Table 3, temperatures and RL (enforced: 10 children asked for)", published.TABLE_3, rows, renamed)


def left_out(absent):
    """What a table has not, and why."""
    reasons = [f"{who} ({why})" for who, why in absent.items() if why != NOT_RUN]
    unfinished = [who for who, why in absent.items() if why == NOT_RUN]
    if reasons:
        yield from ("Not measured: " + "; ".join(reasons) + ".", "")
    if unfinished:
        yield from ("Not measured yet: " + "; ".join(unfinished) + ".", "")


def read(folder):
    found = {}
    for name in SECTIONS:
        file = folder / f"{name}.csv"
        if file.exists():
            with open(file, newline="") as lines:
                found[name] = list(csv.DictReader(lines))
    return found


def is_beside(folder, page):
    """Are the results of `folder` already where the page has what it shows and links?"""
    return folder.resolve() == page.with_suffix("").resolve()


def write(folder, target):
    """The page goes to `target`, and into a folder of its name beside it go the figures that it shows, the tables that it links
    and what it says of the conditions: from there it can be written again."""
    known, facts = read(folder), json.loads((folder / "about.json").read_text())
    said = said_of(facts)
    stays = is_beside(folder, target) or folder.resolve() == target.parent.resolve()
    shown = folder if stays else target.with_suffix("")
    shown.mkdir(parents=True, exist_ok=True)

    def beside_page(file, title=None):
        """A link to a file that goes with the page."""
        if not stays:
            shutil.copy(file, shown / file.name)
        return f"[{title or file.name}]({os.path.relpath(shown / file.name, target.parent)})"

    if not stays:
        shutil.copy(folder / "about.json", shown)

    lines = [INTRODUCTION.format(**said), "| model | weights | folder |", "|---|---|---|",
             *(f"| {m['title']} | {m['parameters']:,} | `{m['folder']}` |" for m in facts["models"]), ""]
    for name, (title, columns, theirs, about) in SECTIONS.items():
        rows = known.get(name)
        absent = facts["absent"].get(name, {})
        lines += [f"## {title}", ""]
        if about:
            lines += [about.format(**said), ""]
        lines += [f"**The paper** (four numbers, 228 M): {'; '.join(theirs)}.", ""]
        lines += left_out(absent)
        if not rows:
            lines += ["Not measured yet.", ""]
            continue
        for one in FIGURES:
            picture = folder / f"{one.name}.svg"
            if one.table == name and picture.exists():
                lines += [f"!{beside_page(picture, one.title)}", ""]
        lines += [*(by_limit(rows) if name == "context" else table(rows, columns)), "", f"Data: {beside_page(folder / f'{name}.csv')}.", ""]
        if name == "temperature":
            lines += tables(rows, series_by_beam(facts))
    lines += ["## Again", "", "```sh", *facts["commands"], f"bench/paper/run report --to docs/{target.name}", "```"]
    target.write_text("\n".join(lines) + "\n")
