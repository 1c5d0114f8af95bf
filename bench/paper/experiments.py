"""The experiments: each asks the lab for runs and gives the rows of its table. All runs are over the same problems, and what
two experiments have in common is run once."""

from demonstrations import as_words, searches
from found import put, together
from lab import TITLES, not_kept
from published import TEMPERATURES
from statistics95 import mean, means_ratio, paired, ratio_interval, share_interval

CHILDREN = (0, 2, 4, 6, 8, 10)
ENFORCED = 10  # as many children as the paper enforces
TOKEN_BUDGETS = range(512, 4097, 512)  # SoS+ is conditioned on bins of 512
CONTEXT_BUDGETS = (1024, 4096)  # figure 4b
SAMPLES = 8
SCALED = (0.1, 0.5, 1.0)  # not 0: greedy samples are all the same
APR, SOSPLUS = ("apr", "apr-rl"), ("sosplus", "sosplus-rl")
DEMONSTRATIONS = ("sosplus-beam5", "sosplus-rejection")  # other demonstrations for SoS+ (table 2)


def with_children(children=None):
    return "" if children is None else f", {children} children asked"


def conditioned(lab, role, temperature, children=CHILDREN):
    """A model that is told how many children it may have. Of none is no part of the curve: the root is to search itself."""
    for n in children:
        series = f"{TITLES[role]}, children asked" if n else f"{TITLES[role]}{with_children(0)}"
        yield lab.evaluate(role, children=n, temperature=temperature).row(series, n)


def sampled(lab, role, temperature):
    """Samples of one problem together: their majority, and whether one of them is right."""
    samples = lab.evaluate(role, samples=SAMPLES, temperature=temperature)
    yield from samples.rows_at_k(TITLES[role], "cons")
    yield from samples.rows_at_k(TITLES[role], "pass")


def compute(lab):
    """Accuracy against tokens in total (figure 4a): temperature 1; APR by children, SoS+ by samples."""
    for role in lab.roles("compute", *APR):
        yield from lab.whole("compute", f"{TITLES[role]} by children", conditioned(lab, role, 1))
    for role in lab.roles("compute", "sosplus", "apr"):
        yield from lab.whole("compute", f"{TITLES[role]} by samples", sampled(lab, role, 1))


def scaling(lab):
    """Accuracy against tokens in total at several temperatures (figure 8): the curves of figure 4a for each."""

    def curves(t):
        for role in lab.roles("scaling", "apr"):
            yield from lab.whole("scaling", f"{TITLES[role]} at {t}", conditioned(lab, role, t, CHILDREN[1:]))
        for role in lab.roles("scaling", "sosplus"):
            yield from lab.whole("scaling", f"{TITLES[role]} at {t}", sampled(lab, role, t))

    for t in SCALED:
        for row in curves(t):
            yield {**row, "temperature": t}


def sequential(lab):
    """Accuracy against tokens on the critical path (figure 6, left): greedy; APR by children, SoS+ by the token budget it is given."""
    def unconditioned(role):
        yield lab.evaluate(role, temperature=0).row(f"{TITLES[role]}, unconditioned", "")

    for role in lab.roles("sequential", *APR):
        yield from lab.whole("sequential", f"{TITLES[role]} by children", conditioned(lab, role, 0))
    def budgeted(role):
        for n in TOKEN_BUDGETS:
            yield lab.evaluate(role, token_budget=n, temperature=0).row(f"{TITLES[role]}, token budget", n)

    for role in lab.roles("sequential", "sosplus"):
        yield from lab.whole("sequential", f"{TITLES[role]} by token budget", budgeted(role))
    for role in lab.roles("sequential", *APR, *SOSPLUS):
        yield from lab.whole("sequential", f"{TITLES[role]}, unconditioned", unconditioned(role))


def context_limits(outcomes):
    """Ten limits up to the power of two that 99 of 100 trees stay within: where the curves rise, whatever the task's length."""
    longest = sorted(s["usage"]["longest_context"] for outcome in outcomes for problem in outcome.problems for s in problem)
    top = 1 << max(4, (longest[(len(longest) - 1) * 99 // 100] - 1).bit_length())
    return [top * sixteenths // 16 for sixteenths in (3, 4, 5, 6, 7, 8, 9, 10, 12, 16)]


def context(lab):
    """Accuracy against the context limit (figure 4b): a tree whose longest thread is longer than the limit counts as wrong,
    as in the paper; for the unconditioned model also with `--context`, where such a thread ends and its parent goes on."""
    settings = [("apr", {"children": n}, with_children(n)) for n in (3, 6, 10)]
    settings += [(role, {}, "") for role in (*APR, *SOSPLUS)]
    settings += [("sosplus", {"token_budget": n}, f", token budget {n}") for n in CONTEXT_BUDGETS]

    def outcome_of(series, role, asked):
        yield series, lab.evaluate(role, temperature=0, **asked)

    outcomes = {}
    for role, asked, how in settings:
        if lab.has(role, "context"):
            series = TITLES[role] + how
            outcomes |= lab.whole("context", series, outcome_of(series, role, asked))

    def at(outcome, series, limit, solved):
        row = outcome.row(series, limit)
        put(row, "accuracy", share_interval(solved))
        row["context"] = limit
        return row

    def enforced(role):
        for limit in limits[3:-1]:
            outcome = lab.evaluate(role, temperature=0, context=limit)
            yield at(outcome, f"{TITLES[role]}, --context", limit, outcome.solved())

    limits = context_limits(outcomes.values()) if outcomes else []
    for series, outcome in outcomes.items():
        for limit in limits:
            fits = [mean([s["solved"] and s["usage"]["longest_context"] <= limit for s in problem]) for problem in outcome.problems]
            yield at(outcome, series, limit, fits)
    for role in lab.roles("context", "apr"):
        yield from lab.whole("context", f"{TITLES[role]}, --context", enforced(role))


def in_turn(lab, who, devices, curves):
    """Runs whose wall time counts, one problem at a time: `curves` has by title what is asked of a role by setting. Repeats go over all of
    them in turn, so that what the machine does meanwhile meets all alike. By (title, setting): all repeats that are there."""
    def of(title, repeat):
        for setting, (role, asked) in curves[title].items():
            yield (title, setting), lab.evaluate(role, limit=lab.timed, devices=devices, repeat=repeat, temperature=0, concurrency=1, **asked)

    found = {}
    for title in curves:
        found |= {key: [one] for key, one in lab.whole(who, title, of(title, 0))}
    for repeat in range(1, lab.repeats):
        try:
            again = {key: one for title in dict.fromkeys(title for title, _ in found) for key, one in of(title, repeat)}
        except not_kept:  # fewer repeats, but of all
            break
        for key, one in again.items():
            found[key].append(one)
    return found


def wall_time(row, repeats):
    """Into a row: the wall time of one problem, as the mean of its repeats, and how far the means of the repeats lie apart."""
    timed = together(repeats).row("", "", timed=True)
    means = [mean(one.usage("wall_ms")) for one in repeats]
    row.update({name: timed[name] for name in ("wall_ms", "wall_ms_low", "wall_ms_high")}, timed_problems=len(repeats[0].problems),
               repeats=len(repeats), wall_ms_least=min(means), wall_ms_most=max(means))


def latency(lab):
    """Accuracy against wall time (figure 6, right): one problem at a time, under a given number of devices; greedy. APR also by its
    wall time over that of SoS+ on the same problems."""
    there = lab.roles("latency", *APR, *SOSPLUS)
    for devices in lab.device_sets:
        where = f"{len(devices)} device" + ("s" if len(devices) > 1 else "")
        curves = {}
        for role in there:
            curves[f"{TITLES[role]}, {where}"] = {"": (role, {})}
            if role == "apr":
                curves[f"{TITLES[role]}, {where}, children asked"] = {n: (role, {"children": n}) for n in CHILDREN[1:]}
        timed = in_turn(lab, "latency", devices, curves)
        for (series, setting), repeats in timed.items():
            row = {**repeats[0].row(series, setting), "devices": len(devices)}
            wall_time(row, repeats)
            serial = dict(zip(APR, SOSPLUS, strict=True)).get(repeats[0].role)
            others = timed.get((f"{TITLES[serial]}, {where}", "")) if serial else None
            if others:
                over(row, "wall_ms", together(repeats), together(others))
            yield row


def over(row, field, ours, theirs):
    """Into the row of `ours`: its cost over that of another run over the same problems, of the means and problem by problem."""
    a, b = ours.usage(field), theirs.usage(field)
    if min(*a, *b) > 0:
        put(row, field + "_means_ratio", means_ratio(a, b))
        put(row, field + "_ratio", ratio_interval(a, b))


def compared(row, ours, theirs):
    """The row of `ours` against another run over the same problems, in points."""
    pair = paired(ours.solved(), theirs.solved())
    row.update(better=pair["wins"], worse=pair["losses"], p=pair["p"], difference=100 * pair["difference"],
               difference_low=100 * pair["low"], difference_high=100 * pair["high"])
    return row


def versus(series, setting, ours, theirs):
    """A row of two runs: both accuracies, their difference, and ours over theirs in tokens."""
    row = ours.row(series, setting)
    other = theirs.row(series, setting)
    for name in ("accuracy", "accuracy_low", "accuracy_high"):
        row["their_" + name] = other[name]
    for field in ("generated_tokens", "critical_path_tokens"):
        over(row, field, ours, theirs)
    return compared(row, ours, theirs)


def rl(lab):
    """Before and after reinforcement learning (figures 5 and 7): children, tokens, and accuracy where the number of
    children is given; greedy, as in the paper, and at temperature 1, at which it learns."""
    for t in (0, 1):
        for before, after in (APR, SOSPLUS):
            if not lab.has(before, "rl"):
                continue
            learnt = lab.has(after, "rl")

            def pair(setting, **asked):
                first = lab.evaluate(before, temperature=t, **asked)
                yield {**first.row(TITLES[before], setting), "temperature": t}
                if learnt:
                    second = lab.evaluate(after, temperature=t, **asked)
                    yield {**compared(second.row(TITLES[after], setting), second, first), "temperature": t}

            for n in (None, *CHILDREN) if before == "apr" else (None,):
                setting = "not asked" if n is None else n
                yield from lab.whole("rl", f"{TITLES[before]}{with_children(n)} at {t}", pair(setting, **({} if n is None else {"children": n})))


def temperature(lab):
    """Accuracy at several sampling temperatures (tables 1 to 3), against the first of them."""

    def row(role, series, t, first, **asked):
        outcome = lab.evaluate(role, temperature=t, **asked)
        yield outcome.row(series, t) if t == first else compared(outcome.row(series, t), outcome, lab.evaluate(role, temperature=first, **asked))

    def at(temperatures, role, series, **asked):
        for t in temperatures:
            yield from lab.whole("temperature", f"{series} at {t}", row(role, series, t, temperatures[0], **asked))

    for role in lab.roles("temperature", *APR, *SOSPLUS, "sos"):
        yield from at(TEMPERATURES, role, TITLES[role])
    for role in lab.roles("temperature", *APR):
        yield from at(TEMPERATURES, role, f"{TITLES[role]}{with_children(ENFORCED)}", children=ENFORCED)
    for role in lab.roles("temperature", *DEMONSTRATIONS):
        yield from at((0.0, 1.0), role, TITLES[role])


def against(lab):
    """APR against SoS+, paired on the same problems: at each temperature, before and after RL, and with the number of
    children given; against SoS+ from other demonstrations; and against the best of its samples."""

    def row(series, t, ours, theirs):
        yield versus(series, t, ours(), theirs())

    def rows(role, other, temperatures, **asked):
        series = f"{TITLES[role]}{with_children(**asked)} against {TITLES[other]}"
        for t in temperatures:
            yield from lab.whole("against", f"{series} at {t}", row(series, t, lambda: lab.evaluate(role, temperature=t, **asked),
                                                                    lambda: lab.evaluate(other, temperature=t)))

    there = lab.roles("against", *APR, *SOSPLUS, *DEMONSTRATIONS)
    for role, other in zip(APR, SOSPLUS, strict=True):
        if role in there and other in there:
            yield from rows(role, other, TEMPERATURES)
            yield from rows(role, other, TEMPERATURES, children=ENFORCED)
    for other in DEMONSTRATIONS:
        if "apr" in there and other in there:
            yield from rows("apr", other, (0.0, 1.0))
    if all(other in there for other in DEMONSTRATIONS):
        yield from rows(DEMONSTRATIONS[1], DEMONSTRATIONS[0], (0.0, 1.0))
    if "apr" in there and "sosplus" in there:
        series = f"{TITLES['apr']}{with_children(ENFORCED)} against {TITLES['sosplus']} pass@{SAMPLES}"
        for t in SCALED:
            yield from lab.whole("against", f"{series} at {t}", row(series, t, lambda: lab.evaluate("apr", temperature=t, children=ENFORCED),
                                                                    lambda: lab.evaluate("sosplus", samples=SAMPLES, temperature=t).best()))


# The published configurations (APR.md of the reference: the kept states are shuffled).
PUBLISHED = [("SoS, breadth first", {"search": "sos-bfs"}), ("SoS, depth first", {"search": "sos-dfs"}),
             ("SoS+ (beam size = 5)", {"search": "sos+", "beam": "1:5", "spawn-probability": "0.5"}),
             ("SoS+ (beam size = 15)", {"search": "sos+", "beam": "1:15", "spawn-probability": "0.5"}),
             ("APR", {"search": "apr", "beam": "1:10", "sub-beam": "15", "spawn-probability": "0.9"})]
EVERYTHING = {"search": "apr", "beam": "15:15", "sub-beam": "15:15", "spawn-probability": "1"}


def symbolic(lab):
    """What the symbolic searches solve: those of each model's own demonstrations, and the published ones (beside table 1)."""
    wanted = []
    for role in lab.roles("symbolic", "apr", "sosplus", *DEMONSTRATIONS, "sos"):
        own = searches(lab.models[role])
        if not own:
            lab.absent["symbolic"][role] = "its folder does not say of what search its demonstrations are"
        wanted += [(f"demonstrations of {TITLES[role]}", search) for search in own]
    wanted += [(f"published {name}", search) for name, search in PUBLISHED] + [("APR, all children", EVERYTHING)]
    for series, search in wanted:
        words = as_words(search)
        found = lab.symbolic(*words)
        yield {"series": series, "setting": " ".join(words), "problems": found["problems"], "samples": 1,
               "accuracy": found["accuracy"], "accuracy_low": found["ci95"][0], "accuracy_high": found["ci95"][1],
               "children": found["children_mean"]}


def join(lab):
    """What going on at the first success saves: accuracy and tokens over all problems, wall time one problem at a time."""
    for role in lab.roles("join", *APR):
        for asked in ({}, {"children": ENFORCED}):
            title = f"{TITLES[role]}{with_children(**asked)}"
            policies = {"all": asked, "first_success": {**asked, "join": "first_success"}}

            def rows():
                runs = {policy: lab.evaluate(role, temperature=0, **how) for policy, how in policies.items()}
                again = {policy: (role, {**asked, "join": policy}) for policy in policies}  # the times of both anew, in turn
                timed = in_turn(lab, "join", lab.device_sets[0], {f"{title}, wall time": again})
                timed = {policy: repeats for (_, policy), repeats in timed.items()}
                for policy, one in runs.items():
                    row = one.row(f"{TITLES[role]}, {policy}", f"{asked['children']} children asked" if asked else "")
                    if policy != "all":
                        compared(row, one, runs["all"])
                    if timed:
                        wall_time(row, timed[policy])
                        if policy != "all":
                            over(row, "wall_ms", together(timed[policy]), together(timed["all"]))
                    yield row

            yield from lab.whole("join", title, rows())


ALL = [compute, scaling, sequential, context, latency, rl, temperature, against, symbolic, join]
TIMED = (latency, join)


def named(names):
    known = {e.__name__: e for e in ALL}
    return ALL if "all" in names else [known[name] for name in names]
