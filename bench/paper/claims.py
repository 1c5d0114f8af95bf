"""What our tables say of the paper's claims: computed from the tables by rules, so that no sentence outlives its figures.

A claim that something is larger *agrees* where the 95 % interval of our difference lies above zero, *disagrees* where it lies below, and is
*undecided* where it holds zero."""

import re

import published
from statistics95 import apart

AGREES, DISAGREES, UNDECIDED = "agrees", "disagrees", "undecided"


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def triple(row, name, scale=1.0):
    return tuple(scale * number(row[name + end]) for end in ("", "_low", "_high"))


def has(row, name):
    return row is not None and number(row.get(name)) is not None


def verdict(difference):
    _, low, high = difference
    return AGREES if low > 0 else DISAGREES if high < 0 else UNDECIDED


def worst(verdicts):
    """Of a claim about all of several cases."""
    return next((one for one in (DISAGREES, UNDECIDED) if one in verdicts), AGREES)


def at_temperatures(verdicts, every=True):
    """The verdicts by temperature as one: the one that all have, if `every` temperature is there, or which has which."""
    if every and len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    said = {}
    for t, one in verdicts.items():
        said.setdefault(one, []).append(f"{t:g}")
    return ", ".join(f"{one} at {' and '.join(at)}" for one, at in said.items())


def points(difference):
    middle, low, high = (round(value, 1) + 0.0 for value in difference)  # no -0.0
    return f"{middle:+.1f} points [{low:.1f}, {high:.1f}]"


def percent(row, name="accuracy"):
    return f"{100 * number(row[name]):.1f} %"


def plain(row, name):
    value = number(row[name])
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def ratio(row, field):
    """A ratio of costs: of the means where the table has it, else the geometric mean."""
    name = next((name for name in (field + "_means_ratio", field + "_ratio") if has(row, name)), None)
    return f"{number(row[name]):.2f} [{number(row[name + '_low']):.2f}, {number(row[name + '_high']):.2f}]" if name else None


def curve(rows, series, **columns):
    return [row for row in rows if row["series"] == series and all(number(row.get(c)) == v for c, v in columns.items())]


def one(rows, series, setting, **columns):
    return next((row for row in curve(rows, series, **columns) if row["setting"] == str(setting) or number(row["setting"]) == setting), None)


def accuracy_apart(ours, theirs):
    return apart(triple(ours, "accuracy", 100), triple(theirs, "accuracy", 100))


def within(rows, tokens):
    """Of a curve, the point of the most tokens that has no more than so many."""
    return max((row for row in rows if number(row["tokens"]) <= tokens), key=lambda row: number(row["tokens"]), default=None)


def at_tokens(rows, tokens):
    """The accuracy of a curve at so many tokens, between its points (straight between them), with its interval."""
    ordered = sorted(rows, key=lambda row: number(row["tokens"]))
    for a, b in zip(ordered, ordered[1:], strict=False):
        x, y = number(a["tokens"]), number(b["tokens"])
        if x <= tokens <= y:
            part = (tokens - x) / (y - x) if y > x else 0
            return tuple((1 - part) * p + part * q for p, q in zip(triple(a, "accuracy", 100), triple(b, "accuracy", 100), strict=True))
    return None


def equal_tokens(ours, cons):
    """APR against seven samples at no more tokens."""
    seven = next((row for row in cons if row["setting"] == "k = 7"), None)
    best = within(ours, number(seven["tokens"])) if seven else None
    if best:
        difference = accuracy_apart(best, seven)
        return difference, (f"APR {percent(best)} at {plain(best, 'tokens')} tokens against {percent(seven)} for SoS+ cons@7 at {plain(seven, 'tokens')} "
                            f"({points(difference)}, not paired)")
    return None


def compute(known, facts):
    rows = known["compute"]
    ours, cons, passed = (curve(rows, series) for series in ("APR, children asked", "SoS+ cons@k", "SoS+ pass@k"))
    same = equal_tokens(ours, cons)
    if same:
        yield verdict(same[0]), f"{same[1]}; the paper has +13.5"
    eight = next((row for row in passed if row["setting"] == "k = 8"), None)
    if eight and ours:
        fewer = [row for row in ours if number(row["tokens"]) < number(eight["tokens"])]
        first = next((row for row in fewer if number(row["accuracy"]) >= number(eight["accuracy"])), None)
        sure = next((row for row in fewer if accuracy_apart(row, eight)[1] > 0), None)
        def passing(row):
            return (f"when asked for {row['setting']} children ({percent(row)} at {plain(row, 'tokens')} tokens: "
                    f"{100 - 100 * number(row['tokens']) / number(eight['tokens']):.0f} % fewer")

        theirs = f"SoS+ pass@8 ({percent(eight)} at {plain(eight, 'tokens')} tokens)"
        if sure:
            within_chance = f"; within chance already {passing(first)})" if first is not sure else ""
            yield AGREES, (f"APR is above {theirs} beyond chance {passing(sure)}, {points(accuracy_apart(sure, eight))}, not paired; "
                           f"the paper has 57.4 % fewer){within_chance}")
        elif first:
            yield UNDECIDED, f"APR first passes {theirs} {passing(first)}; the paper has 57.4 %), nowhere beyond chance"
        else:
            yield DISAGREES, f"APR does not pass SoS+ pass@8 ({percent(eight)}) with fewer tokens"
    apart_at = [(row, at_tokens(cons, number(row["tokens"]))) for row in ours]
    apart_at = [(row, apart(triple(row, "accuracy", 100), theirs)) for row, theirs in apart_at if theirs]
    behind = [(row, difference) for row, difference in apart_at if difference[0] < 0]
    too_small = ours and cons and number(ours[0]["tokens"]) < number(cons[0]["tokens"])
    if behind:
        row, difference = behind[-1]
        yield (AGREES if any(d[2] < 0 for _, d in behind) else UNDECIDED), (
            f"behind SoS+ cons@k at few tokens: up to {plain(row, 'tokens')} tokens ({points(difference)} against its curve there)")
    elif too_small:
        yield UNDECIDED, "behind SoS+ at few tokens: APR is above its curve wherever both have points, and SoS+ has none at fewer tokens than one sample's"
    elif apart_at:
        yield DISAGREES, "APR is nowhere behind SoS+ cons@k at the same tokens"


def scaling(known, facts):
    rows, found = known["scaling"], []
    temperatures = dict.fromkeys(number(row["temperature"]) for row in rows)
    for t in temperatures:
        same = equal_tokens(curve(rows, "APR, children asked", temperature=t), curve(rows, "SoS+ cons@k", temperature=t))
        if same:
            found.append((t, verdict(same[0]), f"at temperature {t}, {same[1]}"))
    if found:
        yield at_temperatures({t: v for t, v, _ in found}, len(found) == len(temperatures)), "; ".join(said for *_, said in found)


def sequential(known, facts):
    rows = known["sequential"]
    alone, serial = one(rows, "APR, unconditioned", ""), one(rows, "SoS+, unconditioned", "")
    if serial:
        better = [row for row in curve(rows, "APR, children asked") if accuracy_apart(row, serial)[1] > 0]
        shorter = [row for row in better if number(row["critical_high"]) < number(serial["critical_low"])]
        if better:
            # Of the settings that bear the claim the one of most accuracy, else the one that is nearest to bearing it.
            best = max(shorter, key=lambda row: number(row["accuracy"])) if shorter else min(better, key=lambda row: number(row["critical"]))
            longer = number(best["critical_low"]) > number(serial["critical_high"])
            yield (AGREES if shorter else DISAGREES if longer else UNDECIDED), (
                f"more accurate with fewer sequential tokens: asked for {best['setting']} children, APR solves {percent(best)} with "
                f"{plain(best, 'critical')} sequential tokens; SoS+ {percent(serial)} with {plain(serial, 'critical')} "
                f"({points(accuracy_apart(best, serial))}, not paired)")
        else:
            yield UNDECIDED, "asked for no number of children is APR more accurate than SoS+ beyond chance"
    if alone and serial:
        paired = one(known.get("against", []), "APR against SoS+", 0)
        times = ratio(paired, "critical_path_tokens") if paired else None
        yield None, (f"not asked, APR solves {percent(alone)} with {plain(alone, 'critical')} sequential tokens"
                     + (f", {times} times those of SoS+" if times else ""))
    budgets = curve(rows, "SoS+, token budget")
    if budgets:
        first, last = budgets[0], budgets[-1]
        difference = accuracy_apart(last, first)
        yield None, f"SoS+ from a token budget of {first['setting']} to {last['setting']}: {percent(first)} to {percent(last)} ({points(difference)}, not paired)"


def context(known, facts):
    rows = known["context"]
    serial = {number(row["context"]): row for row in curve(rows, "SoS+")}
    for n in (3, 6, 10):
        ours = {number(row["context"]): row for row in curve(rows, f"APR, {n} children asked")}
        limits = sorted(set(ours) & set(serial))
        if not limits:
            continue
        differences = {limit: accuracy_apart(ours[limit], serial[limit]) for limit in limits}
        used = [limit for limit in limits if max(number(ours[limit]["accuracy"]), number(serial[limit]["accuracy"])) > 0.05]
        below = [limit for limit in used if differences[limit][2] < 0]
        above = [limit for limit in used if differences[limit][1] > 0]
        verdicts = [verdict(differences[limit]) for limit in used]

        def said_of(which):
            return ", ".join(f"{limit:,.0f}" for limit in which) or "none"

        top = limits[-1]
        claim = "3 children above SoS+ at every window" if n == 3 else f"{n} children above it at the largest (the paper, about {10 if n == 6 else 20} points)"
        now = worst(verdicts) if n == 3 and verdicts else verdict(differences[top])
        yield now, (f"{claim}: {points(differences[top])} at {top:,.0f}, not paired; above SoS+ beyond chance at {said_of(above)}, "
                    f"below it at {said_of(below)}")


def latency(known, facts):
    rows = known["latency"]
    counts = dict.fromkeys(int(said[1]) for row in rows if (said := re.search(r"(\d+) device", row["series"])))

    def of(title, n):
        return one(rows, f"{title}, {n} device{'s' if n > 1 else ''}", "")

    for n in counts:
        ours, serial = of("APR", n), of("SoS+", n)
        if ours and serial:
            difference, times = accuracy_apart(ours, serial), ratio(ours, "wall_ms")
            name = "wall_ms_means_ratio" if has(ours, "wall_ms_means_ratio") else "wall_ms_ratio"
            slower, no_slower = number(ours[name + "_low"]) > 1, number(ours[name + "_high"]) <= 1
            quick = DISAGREES if slower else AGREES if no_slower else UNDECIDED
            yield worst([verdict(difference), quick]), (
                f"more accurate in no more time, on {n} device{'s' if n > 1 else ''}: {points(difference)}, not paired, in {times} times the time")
    if len(counts) > 1:
        few, many = min(counts), max(counts)
        a, b = of("APR", few), of("APR", many)
        if a and b:
            faster = number(b["wall_ms_high"]) < number(a["wall_ms_low"])
            slower = number(b["wall_ms_low"]) > number(a["wall_ms_high"])
            yield (AGREES if faster else DISAGREES if slower else UNDECIDED), (
                f"more devices make a tree quicker: APR {plain(b, 'wall_ms')} ms on {many}, {plain(a, 'wall_ms')} on {few}"
                + ("" if faster else f": {many} devices are not faster here"))


def rl_rows(rows, title, setting, t):
    found = [row for row in rows if row["series"] == title and row["setting"] == setting and (number(row.get("temperature")) or 0) == t]
    return found[0] if found else None


def change(before, after, name, digits=1):
    a, b = number(before[name]), number(after[name])
    percent_more = f" ({100 * b / a - 100:+.0f} %)" if a else ""
    return f"{a:,.{digits}f} to {b:,.{digits}f}{percent_more}"


def rl(known, facts):
    rows = known["rl"]
    temperatures = dict.fromkeys(number(row.get("temperature")) or 0 for row in rows)
    for t in temperatures:
        for title, gain in (("APR", "+7.9"), ("SoS+", "+2.7")):
            before, after = rl_rows(rows, title, "not asked", t), rl_rows(rows, title + " + RL", "not asked", t)
            if before and has(after, "difference"):
                said = f"{title} gains by RL at temperature {t:g}: {points(triple(after, 'difference'))}, {after['better']} problems won and {after['worse']} lost"
                said += f" (the paper, greedily, {gain})"
                if title == "APR":
                    said += f"; children {change(before, after, 'children')}, tokens {change(before, after, 'tokens', 0)}"
                yield verdict(triple(after, "difference")), said
        ten = rl_rows(rows, "APR + RL", "10", t)
        if has(ten, "difference"):
            middle, low, high = triple(ten, "difference")
            close = UNDECIDED if low <= 0 <= high else DISAGREES
            if close == UNDECIDED and max(-low, high) < 5:
                close = AGREES
            yield close, (f"RL changes nothing (less than 5 points) where 10 children are asked for, at temperature {t:g}: {points((middle, low, high))} (the paper, greedily, +0.1)")


def obeys(known, facts):
    """Whether models spawn as many children as they are asked for."""
    rows = known["rl"]
    for title in ("APR", "APR + RL"):
        asked = [row for row in rows if row["series"] == title and number(row["setting"]) is not None and (number(row.get("temperature")) or 0) == 0]
        if asked:
            obtained = ", ".join(f"{float(row['setting']):.0f}: {number(row['children']):.1f}" for row in asked)
            off = [row for row in asked if number(row["children"]) > 1.5 * float(row["setting"]) + 1]
            share = next((m.get("budgets") for m in facts["models"] if m["title"] == title), None)
            why = f" (its reinforcement had a budget in {100 * share:.0f} % of the prompts)" if share is not None else ""
            yield f"{title}, asked: obtained, greedily: {obtained}" + (f"; it does not keep to what it is asked{why}" if off else "")


def differences(rows, series, theirs):
    """Paired differences at all temperatures, and the paper's."""
    for row in curve(rows, series):
        t = number(row["setting"])
        paper = f" (the paper {theirs[t]:+.1f})" if t in theirs else ""
        yield t, verdict(triple(row, "difference")), f"{points(triple(row, 'difference'))} at temperature {t:g}{paper}"


def paper_difference(ours, theirs):
    return {t: a - b for t, a, b in zip(published.TEMPERATURES, published.TABLE_3[ours], published.TABLE_3[theirs], strict=True)}


def temperature(known, facts):
    found = list(differences(known.get("against", []), "APR against SoS+", paper_difference("APR", "SoS+")))
    if found:
        yield at_temperatures({t: v for t, v, _ in found}), "APR minus SoS+, paired: " + ", ".join(said for *_, said in found)


def against(known, facts):
    rows = known["against"]
    cases = (("APR against SoS+", "APR", "SoS+"), ("APR + RL against SoS+ + RL", "APR + RL", "SoS+ + RL"),
             ("APR, 10 children asked against SoS+", "APR, children enforced", "SoS+"),
             ("APR + RL, 10 children asked against SoS+ + RL", "APR + RL, children enforced", "SoS+ + RL"))
    for series, ours, theirs in cases:
        found = list(differences(rows, series, paper_difference(ours, theirs)))
        if found:
            greedy = one(rows, series, 0)
            costs = [ratio(greedy, field) for field in ("generated_tokens", "critical_path_tokens")] if greedy else [None, None]
            yield at_temperatures({t: v for t, v, _ in found}), (f"{series}: " + ", ".join(said for *_, said in found)
                                                 + (f"; greedily with {costs[0]} times the tokens and {costs[1]} times the sequential tokens" if all(costs) else ""))
    found = list(differences(rows, "APR, 10 children asked against SoS+ pass@8", {1.0: 11.7}))
    if found:
        yield at_temperatures({t: v for t, v, _ in found}), "APR, 10 children asked against SoS+ pass@8: " + ", ".join(said for *_, said in found)
    found = list(differences(rows, "SoS+ (rejection sampling) against SoS+ (beam size = 5)", {
        t: theirs - published.TABLE_2["SoS+ (baseline)"][t] for t, theirs in published.TABLE_2["SoS+ (rejection sampling)"].items()}))
    if found:
        yield None, "SoS+ from rejection sampling against SoS+ from beams of 5: " + ", ".join(said for *_, said in found)


def symbolic(known, facts):
    if facts["numbers"] == 4:
        for name, series in (("APR", "published APR"), ("SoS+", "published SoS+ (beam size = 5)")):
            row = one(known["symbolic"], series, next((r["setting"] for r in curve(known["symbolic"], series)), ""))
            if row:
                _, low, high = triple(row, "accuracy", 100)
                theirs = published.SYMBOLIC[name]
                yield (AGREES if low <= theirs <= high else DISAGREES), (
                    f"the published configuration of {name} solves {percent(row)} [{low:.1f}, {high:.1f}] here, {theirs} % there")
    for title in ("APR", "SoS+"):
        shares = [percent(row) for row in curve(known["symbolic"], f"demonstrations of {title}")]
        if shares:
            yield None, f"what {title} learnt from solves {', '.join(shares[:-1])}{' and ' if shares[:-1] else ''}{shares[-1]}"


def join(known, facts):
    for row in known["join"]:
        if has(row, "difference") and row["series"].startswith(("APR, ", "APR + RL, ")):
            before = one(known["join"], row["series"].replace("first_success", "all"), row["setting"])
            times = ratio(row, "wall_ms")
            where = f" with {row['setting']}" if row["setting"] else ""
            tokens = f", tokens {change(before, row, 'tokens', 0)}" if before else ""
            yield None, f"{row['series']}{where}: {points(triple(row, 'difference'))}{tokens}" + (f", wall time {times} times" if times else "")


CLAIMS = {one.__name__: one for one in (compute, scaling, sequential, context, latency, rl, temperature, against, symbolic, join)}


def line(name, known, facts):
    """What stands under the paper's claim on the page; nothing where the tables have nothing to say."""
    said = [f"*{v}*: {text}" if v else text for v, text in CLAIMS[name](known, facts)]
    return [f"**Ours**: {'; '.join(said)}."] if said else []


def repeated(known):
    """How far wall times lie apart that mean the same: the slowest and the quickest repeat of each setting."""
    apart_by = sorted(100 * number(row["wall_ms_most"]) / number(row["wall_ms_least"]) - 100 for name in ("latency", "join") for row in known.get(name, [])
                      if has(row, "wall_ms_least") and number(row["repeats"]) > 1)
    if not apart_by:
        return ""
    return (f" The slowest repeat of a setting took {apart_by[len(apart_by) // 2]:.0f} % longer than its quickest in the median, {apart_by[-1]:.0f} % at most "
            f"(latency.csv, join.csv): a ratio of times may be off by as much.")
