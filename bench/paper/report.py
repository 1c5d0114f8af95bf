"""Writes the page about the experiments from their tables (CSV): ours beside the paper's."""

import csv
import json
import os
import shlex
import shutil

import claims
import facts as conditions
import published
from figures import FIGURES, number
from lab import NOT_RUN

INTRODUCTION = """# The paper's experiments, in small

Written by `bench/paper/run report` from the tables beside the figures (CSV, linked under each); `bench/paper/run all` measures them.

**These are not the paper's conditions.** The paper has Countdown with four numbers and a model of 228 M weights (without embeddings) on GPUs, decoded
by SGLang; ours has **{numbers_in_words} numbers** and a model of {weights} weights, on {device}. {what_differs};
what can be compared is which curve lies above which, and what grows and what does not. Every setting is run on the same **{problems} problems**{timed_part}, seed {seed}; brackets are 95 % intervals (accuracy: Wilson; means: normal; differences of two runs: paired, Newcombe's method 10, with
McNemar's exact p, not corrected for the number of comparisons; where a line says *not paired*, of the two intervals alone, which is wider than need be; ratios of costs: of the means, by the delta method, and the geometric mean of the ratios
problem by problem, both paired, Student's t on logarithms). The lines *Ours* are computed from the tables: a claim *agrees* where the interval of our difference excludes
zero on the claim's side, *disagrees* where it does on the other, and else is *undecided*. Where all curves have their points at the same settings, they
are drawn a little beside each other; a line ends where a setting is not measured.
"""

# How the figures differ from the paper's for that.
EASIER = ("Our accuracies are therefore higher and our token counts lower (a trace is shorter, and our vocabulary of {vocabulary} has the fixed "
          "phrases as single tokens)")
AS_HARD = ("Tokens are not the paper's (in our vocabulary of {vocabulary} each digit is one, and so is each fixed phrase), and the "
           "demonstrations list what may be done next in the order in which it is generated, which a small model can learn")
WORDS = {3: "three", 4: "four", 5: "five"}

# (title, columns, what the paper says, what ours is)
SECTIONS = {
    "compute": ("Accuracy against compute (figure 4a)", ("accuracy", "tokens", "critical", "children"), published.COMPUTE,
                "Temperature 1. APR is told how many children it may have; samples of one problem are combined by majority (cons@k) or by "
                "whether one is right (pass@k): means over all choices of k among eight{at_k}."),
    "scaling": ("Accuracy against compute at several temperatures (figure 8)", ("temperature", "accuracy", "tokens", "critical", "children"),
                published.SCALING,
                "APR by the children asked for, SoS+ by samples, as above. Not at temperature 0, where all samples are the same."),
    "sequential": ("Accuracy against sequential tokens (figure 6, left)", ("accuracy", "critical", "tokens", "children", "claimed_wrong", "failures"),
                   published.SEQUENTIAL,
                   "Greedy. Sequential tokens are the longest chain that had to be generated one after the other.{budgeted}"),
    "context": ("Accuracy against the context limit (figure 4b)", ("accuracy",), published.CONTEXT,
                "Greedy. As in the paper, one run each, in which a tree counts as wrong where its longest thread is longer than the limit. "
                "`--context`: the limit is in force instead, so a child that outgrows it reads as *no solution* and its parent goes on."),
    "latency": ("Accuracy against wall time (figure 6, right)",
                ("accuracy", "wall_ms", "wall_ms_means_ratio", "wall_ms_ratio", "repeats", "wall_ms_least", "wall_ms_most", "critical", "children"), published.LATENCY,
                "Greedy, one problem at a time{latency_on}; a device is a pool of its own. Wall times want a machine that does nothing else. "
                "Their intervals cover the problems, not repeats of the run.{repeated} "
                "The ratio is that of APR to SoS+ (of APR + RL to SoS+ + RL) on the same devices and problems: below 1, APR is quicker."),
    "rl": ("Before and after reinforcement learning (figures 5 and 7)",
           ("temperature", "accuracy", "children", "tokens", "tokens_a_thread", "difference", "better", "worse", "p", "claimed_wrong", "failures"), published.RL,
           "{rl_temperatures} The difference is RL minus supervised on the same problems, in points. Children are asked for (0: the root is to search "
           "itself) and obtained: a budget is a wish, which a model keeps to as far as it learnt to."),
    "temperature": ("Accuracy against temperature (tables 1 to 3)", ("accuracy", "tokens", "children", "difference", "p", "claimed_wrong", "failures"),
                    published.TEMPERATURE,
                    "The difference is to temperature 0 of the same model on the same problems, in points. "
                    "Our SoS+ learnt from beams of up to {sosplus_beam}; the paper's baseline has 5{beam5_row}."),
    "against": ("APR against SoS+, paired",
                ("accuracy", "their_accuracy", "difference", "better", "worse", "p", "generated_tokens_means_ratio", "generated_tokens_ratio",
                 "critical_path_tokens_means_ratio", "critical_path_tokens_ratio"),
                published.AGAINST,
                "At the temperature beside it. The difference is APR minus SoS+ on the same problems, in points; better and worse are the problems "
                "that only one of the two solves; the ratios are of APR's tokens to those of SoS+. pass@8 is right where one of eight samples is, "
                "at least as often as cons@8. What else differs between the two is said under the models."),
    "symbolic": ("Symbolic searches", ("accuracy", "children"),
                 ["has no such figures; on four numbers the searches of its reference implementation solve "
                  + ", ".join(f"{share} % ({name})" for name, share in published.SYMBOLIC.items())],
                 "What the searches solve that our models' demonstrations are made with, by the options in their folders, and what the published "
                 "configurations solve: `banyan generate traces --summary`. No model is in them, and they are of all {symbolic_problems} problems of the file."),
    "join": ("What going on at the first success saves",
             ("accuracy", "tokens", "critical", "wasted", "wall_ms", "wall_ms_means_ratio", "wall_ms_ratio", "repeats", "wall_ms_least", "wall_ms_most", "difference", "p"),
             ["the paper joins all children always"],
             "Greedy. `first_success` cancels the other children when one has the answer; wasted tokens are those of children that nobody "
             "waited for.{join_on}{repeated} The difference and the ratio are to `all`."),
}
HEADINGS = {"accuracy": "solved, %", "tokens": "tokens", "critical": "sequential tokens", "children": "children", "wall_ms": "wall time, ms",
            "tokens_a_thread": "tokens a thread", "wasted": "wasted tokens", "difference": "difference", "p": "p",
            "temperature": "temperature", "their_accuracy": "SoS+ solved, %", "better": "better", "worse": "worse",
            "wall_ms_means_ratio": "wall time, ratio of means", "wall_ms_ratio": "wall time, geometric mean of ratios",
            "generated_tokens_means_ratio": "tokens, ratio of means", "generated_tokens_ratio": "tokens, geometric mean of ratios",
            "critical_path_tokens_means_ratio": "sequential tokens, ratio of means", "critical_path_tokens_ratio": "sequential tokens, geometric mean of ratios",
            "claimed_wrong": "claimed, wrong", "failures": "failures", "repeats": "repeats", "wall_ms_least": "quickest repeat, ms",
            "wall_ms_most": "slowest repeat, ms"}
# The first two columns: what a row is, and at which setting.
FIRST = {"compute": ("model", "children asked, or samples"), "scaling": ("model", "children asked, or samples"),
         "sequential": ("model", "children asked, or token budget"), "latency": ("model and devices", "children asked"), "rl": ("model", "children asked"),
         "temperature": ("model", "temperature"), "against": ("runs", "temperature"), "symbolic": ("search", "options"), "join": ("model and policy", "asked")}
# What a column is called where the section makes it something more.
OWN = {("rl", "children"): "children obtained"}
DIGITS = {"p": 3, "better": 0, "worse": 0, "claimed_wrong": 0, "repeats": 0}


def cell(row, column):
    if column == "failures":
        return row.get(column) or "–"
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


def table(name, rows):
    columns = [c for c in SECTIONS[name][1] if any(cell(row, c) != "–" for row in rows)]
    yield "| " + " | ".join([*FIRST[name], *(OWN.get((name, c), HEADINGS[c]) for c in columns)]) + " |"
    yield "|---|---|" + "---|" * len(columns)
    last = None
    for row in rows:
        title = row["series"] if row["series"] != last else ""
        last = row["series"]
        yield f"| {title} | {row['setting']} | " + " | ".join(cell(row, c) for c in columns) + " |"


def by_limit(rows):
    """One row a limit, one column a series: the long table of the context experiment on its side."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    yield "| limit | " + " | ".join(series) + " |"
    yield "|---|" + "---|" * len(series)
    for limit in dict.fromkeys(row["setting"] for row in rows):
        at = {row["series"]: row for row in rows if row["setting"] == limit}
        yield f"| {limit} | " + " | ".join(cell(at[s], "accuracy") if s in at else "–" for s in series) + " |"


def timed_on(entry):
    """Under which conditions a table's wall times were measured."""
    if not entry or not entry.get("timed"):
        return ""
    threads = entry.get("threads", "1")
    where = f", on {entry['timed_device']}" if entry.get("timed_device") else ""
    return f"on {entry['timed']} problems, {threads} OS thread{'' if threads == '1' else 's'} for each run{where}"


def width(models):
    """The sentence that says what else differs between the two that are compared."""
    ours, theirs = models.get("APR", {}), models.get("SoS+", {})
    said = []
    if ours.get("beam") and theirs.get("beam") and ours["beam"] != theirs["beam"]:
        said.append(f"The two differ in width, too: at the root, APR's demonstrations keep up to {ours['beam']} operations (the paper's 10), those of SoS+ up to "
                    f"{theirs['beam']} (the paper's 5), and what a search solves limits what a model learns from it (*Symbolic searches*)")
    if ours.get("trained_tokens") and theirs.get("trained_tokens"):
        said.append(f"APR learnt from {millions(ours['trained_tokens'])} tokens, SoS+ from {millions(theirs['trained_tokens'])}"
                    + (" more, from APR's weights" if theirs.get("from") == ours.get("folder") else ""))
    return ". ".join([*said, ""]).strip()  # each a sentence


def said_of(facts, known):
    """What the page says of the conditions, in words."""
    models = {m["title"]: m for m in facts["models"]}
    hard = AS_HARD if facts["numbers"] >= 4 else EASIER
    entries = facts["experiments"]
    timed = [entries[name] for name in conditions.TIMED if name in known and entries.get(name, {}).get("timed")]
    timed_where = "; ".join(dict.fromkeys(entry["timed_device"] for entry in timed if entry.get("timed_device")))
    where = facts["device"] or timed_where
    counts = " or ".join(dict.fromkeys(str(entry["timed"]) for entry in timed))
    of_them = f" of them, on {timed_where}" if timed_where not in ("", where) else ""
    consecutive = entries.get("compute", {}).get("at_k") == "consecutive"  # as tables were made once
    warm = sorted({number(row.get("temperature")) or 0 for row in known.get("rl", [])})
    budgets = any(row["series"] == "SoS+, token budget" for row in known.get("sequential", []))
    return {**facts, "device": where, "budgeted": " SoS+ is told a token budget, as in the paper." if budgets else "", "timed_part": f" (timed ones on\n{counts}{of_them})" if timed else "",
            "latency_on": f", {timed_on(entries.get('latency'))}" if timed_on(entries.get("latency")) else "",
            "join_on": f" Wall time is of one problem at a time, {timed_on(entries.get('join'))}." if timed_on(entries.get("join")) else "",
            "rl_temperatures": "Greedy, as in the paper, and at temperature 1, at which it learns." if len(warm) > 1 else "Greedy.",
            "at_k": ", but sequential tokens are of consecutive ones, from k = 5 on of the first k alone" if consecutive else "",
            "repeated": claims.repeated(known),
            "symbolic_problems": f"{max((int(row['problems']) for row in known.get('symbolic', [])), default=0):,}",
            "numbers_in_words": WORDS.get(facts["numbers"], facts["numbers"]), "what_differs": hard.format(**facts),
            "sosplus_beam": models.get("SoS+", {}).get("beam") or "an unknown number",
            "beam5_row": ", and is a row of its own here" if "SoS+ (beam size = 5)" in models else ""}


def millions(tokens):
    return f"{tokens / 1e6:.3g} M"


def models_table(models):
    """The models, and what their folders say of how they were trained."""
    def learnt(m):
        if m.get("rl"):
            budgets = m.get("budgets")
            return f"reinforcement, {f'a budget in {100 * budgets:.0f} % of the prompts' if budgets else 'without budgets'}"
        return m.get("search") or ""

    yield "| model | weights | folder | learnt from | root's beam | children's beam | order | training tokens | from |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for m in models:
        start = m.get("from") or ""
        tokens = millions(m["trained_tokens"]) if m.get("trained_tokens") else ""
        cells = [m["title"], f"{m['parameters']:,}", f"`{m['folder']}`", learnt(m), m.get("root_beam") or "", m.get("sub_beam") or "", m.get("order") or "", tokens,
                 f"`{start}`" if "/" in start else start]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield (width({m["title"]: m for m in models}) + " Read from the folders (`train*.conf`, `train.sh`, the last line of the log; of several runs the last first, tokens in sum); what a folder does not say is left open. "
           "The paper: root's beam 1:10 (APR), 1:5 (SoS+), shuffled order, 10 epochs of 500 k problems from random weights.").strip()
    yield ""


def series_by_beam(facts):
    """What we call the paper's series, where both mean a beam and call it otherwise."""
    beams = {m["title"]: m.get("beam") for m in facts["models"]}
    names = {5: "SoS+ (baseline)", 15: "SoS+ (beam size = 15)"}
    return {names[beam]: title for title, beam in beams.items() if title in ("SoS+", "SoS+ (beam size = 5)") and beam in names}


def beside(title, theirs, rows, renamed, temperatures=published.TEMPERATURES):
    """A table of the paper with our figures beside its own; `renamed` has our series by the paper's name where they differ."""
    ours = {(row["series"], float(row["setting"])): row for row in rows}
    yield f"**{title}**: the paper's accuracy / ours, %"
    yield ""
    yield "| model | " + " | ".join(f"temperature {t}" for t in temperatures) + " |"
    yield "|---|" + "---|" * len(temperatures)
    for name, accuracies in theirs.items():
        known = accuracies if isinstance(accuracies, dict) else dict(zip(published.TEMPERATURES, accuracies, strict=True))
        series = renamed.get(name, name)
        yield f"| {name} | " + " | ".join(
            f"{known.get(t, '–')} / {cell(ours[(series, t)], 'accuracy') if (series, t) in ours else 'not measured'}" for t in temperatures) + " |"
    yield ""


def tables(rows, renamed):
    """Tables 1 to 3. The paper's SoS+ is its baseline, with beams of up to 5; ours of other beams is a row without a figure of the paper's."""
    baseline = renamed.get("SoS+ (baseline)")
    wide = next((title for name, title in renamed.items() if name != "SoS+ (baseline)"), None)
    enforced = {f"{title}, children enforced": f"{title}, 10 children asked" for title in ("APR", "APR + RL")}
    names = {**renamed, **enforced, **({"SoS+": baseline} if baseline else {})}
    extra = {}
    if wide and baseline != "SoS+":
        extra = {"SoS+ (beam size = 15), not the paper's": {}}
        names |= {next(iter(extra)): wide, **({} if baseline else {"SoS+": "SoS+ (beam size = 5)"})}
    yield "## Tables 1 to 3"
    yield ""
    yield "Ours are rows of the table above."
    if extra:
        yield "Our *SoS+ + RL* began with beams of up to 15, the paper's with its baseline."
    yield ""
    yield from beside("Table 1, SoS and SoS+", {**published.TABLE_1, **extra}, rows, names)
    yield from beside("Table 2, demonstrations of SoS+", published.TABLE_2, rows, renamed, (0.0, 1.0))
    yield from beside("Table 3, temperatures and RL (enforced: 10 children asked for)", {**published.TABLE_3, **extra}, rows, names)


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


def shown_of(folder):
    """The tables that belong to what about.json says; those of a run that was given up since do not."""
    facts = conditions.read(folder)
    known = read(folder)
    return facts, {name: rows for name, rows in known.items() if name in facts["experiments"] or not facts["experiments"]}


def again(facts, known, folder, page):
    """The commands that measure what the page shows, and write it."""
    entries = {name: entry for name, entry in facts["experiments"].items() if name in known}
    yield "```sh"
    yield from conditions.commands(entries) if entries else facts.get("commands", [])
    outs = {words[words.index("--out") + 1] if "--out" in words else None for words in (shlex.split(entry["words"]) for entry in entries.values())}
    for out in sorted(outs or {str(folder)}, key=str):
        yield " ".join(["bench/paper/run report", *(["--out", shlex.quote(out)] if out else []), *(["--to", shlex.quote(page)] if page else [])])
    yield "```"
    several = sorted({entry["device"] for entry in entries.values() if ";" in entry.get("device", "")})
    if several:
        yield ""
        yield (f"Runs that are not timed were made on several devices ({'; '.join(several)}), which is no matter of accuracy and tokens: add `--device cuda` where there is one.")


def write(folder, target, page=None):
    """The page goes to `target`, and into a folder of its name beside it go the figures that it shows, the tables that it links
    and what it says of the conditions: from there it can be written again. `page`: what to call it in the command that writes it."""
    facts, known = shown_of(folder)
    stays = is_beside(folder, target) or folder.resolve() == target.parent.resolve()
    shown = folder if stays else target.with_suffix("")
    shown.mkdir(parents=True, exist_ok=True)
    said = said_of(facts, known)
    if page:
        facts["page"] = str(page)

    def beside_page(file, title=None):
        """A link to a file that goes with the page."""
        if not stays:
            shutil.copy(file, shown / file.name)
        return f"[{title or file.name}]({os.path.relpath(shown / file.name, target.parent)})"

    if not stays:
        said_there = (folder / "about.json").read_text()
        (shown / "about.json").write_text(json.dumps({**json.loads(said_there), "page": str(page)}, indent=1) if page else said_there)

    lines = [INTRODUCTION.format(**said), *models_table(facts["models"])]
    for name, (title, _, theirs, about) in SECTIONS.items():
        rows = known.get(name)
        absent = facts.get("absent", {}).get(name, {})
        lines += [f"## {title}", ""]
        if about and rows:
            lines += [about.format(**said).strip(), ""]
        lines += [f"**The paper** (four numbers, 228 M): {'; '.join(theirs)}.", ""]
        if rows:
            lines += [part for text in claims.line(name, known, facts) for part in (text, "")]
        if rows and name == "rl":
            lines += ["**Asked and obtained**: " + ". ".join(claims.obeys(known, facts)) + ".", ""]
        lines += left_out(absent)
        if not rows:
            lines += ["Not measured yet.", ""]
            continue
        for one in FIGURES:
            picture = folder / f"{one.name}.svg"
            if one.table == name and picture.exists():
                lines += [f"!{beside_page(picture, one.title)}", ""]
        lines += [*(by_limit(rows) if name == "context" else table(name, rows)), "", f"Data: {beside_page(folder / f'{name}.csv')}.", ""]
        if name == "temperature":
            lines += tables(rows, series_by_beam(facts))
    lines += ["## Again", "", *again(facts, known, folder, facts.get("page"))]
    target.write_text("\n".join(lines) + "\n")
