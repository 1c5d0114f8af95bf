"""What a model's folder says of how it was trained: the search that its demonstrations are of, and where it began."""

import itertools
import json
import pathlib
import re
import shlex

# The options of a search that decide what it solves, as `banyan generate traces` and `banyan train sft` have them.
SEARCH = ("search", "heuristic", "beam", "sub-beam", "spawn-probability", "order", "max-result")
USUAL = {"heuristic": "mult", "order": "shuffled", "max-result": "0"}


def options_in(conf):
    """The lines `name = value` of a resolved configuration; of a name that comes more than once, the last."""
    lines = re.findall(r"^([a-z0-9-]+) = (.*)$", conf.read_text(errors="replace"), re.MULTILINE)
    return {name: value.strip() for name, value in lines}


def stages(folder):
    """The runs that made a model, in their order: (configuration, its log)."""
    found = []
    for conf in sorted(pathlib.Path(folder).glob("train*.conf"), key=lambda file: file.stem):
        which = conf.stem.removeprefix("train")  # nothing, -2, -rl
        log = conf.with_name("rl-log.jsonl" if which == "-rl" else f"log{which}.jsonl")
        found.append((options_in(conf), log))
    return found


def is_rl(options):
    return "prompts" in options


def commands_of(script):
    """The commands of a shell script of the plain kind that models come with: names are put in, loops run over their words."""
    text = script.read_text(errors="replace").replace("\\\n", " ")
    names, loops = {}, {}
    for line in map(str.strip, text.splitlines()):
        if said := re.fullmatch(r"(\w+)=(\"?)([^\"]*)\2", line):
            names[said[1]] = said[3]
        elif said := re.fullmatch(r"for (\w+) in ([^;]*); do", line):
            loops[said[1]] = said[2].split()
        elif line == "done":
            loops = {}
        elif line and not line.startswith("#"):
            for values in itertools.product(*loops.values()):
                known = {**names, **dict(zip(loops, values, strict=True))}
                yield re.sub(r"\$\{?(\w+)\}?", lambda use: known.get(use[1], use[0]), line)


def traces_in(script):
    """The searches of `generate traces` in a script."""
    for command in commands_of(script) if script.exists() else ():
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        if "generate" in words and "traces" in words:
            said = {name: value for name, value in zip(words, words[1:], strict=False) if name.startswith("--")}
            yield {name: said["--" + name] for name in SEARCH if "--" + name in said}


def searches(folder):
    """The searches that a model's demonstrations are of, as options of `banyan generate traces`; each once, the last run's first.
    None where a model does not say, or had none."""
    found = []
    for options, _ in stages(folder):
        if "search" in options and not is_rl(options):
            made_before = list(traces_in(pathlib.Path(folder) / "train.sh")) if "traces" in options else []
            found += made_before or [{name: options[name] for name in SEARCH if name in options and (name != "sub-beam" or options["search"] == "apr")}]
    return [dict(one) for one in dict.fromkeys(tuple(one.items()) for one in reversed(found))]


def as_words(search):
    """A search as words of a command, without what is usual there."""
    return [word for name, value in search.items() if USUAL.get(name) != value for word in ("--" + name, value)]


def last_tokens(log, up_to=None):
    """Of how many tokens a log says that they were learnt from, up to a step."""
    tokens = None
    try:
        for line in log.read_text().splitlines():
            said = json.loads(line)
            if "tokens" in said and (up_to is None or said["step"] <= up_to):
                tokens = said["tokens"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tokens


def checkpoint(folder):
    """The step that a model is the checkpoint of, where its script says so."""
    for script in sorted(pathlib.Path(folder).glob("train*.sh")):
        if said := re.search(r"checkpoint of step\s+(?:#\s*)?(\d+)", script.read_text(errors="replace")):
            return int(said[1])
    return None


def origin(folder):
    """What the page says of a model. Nothing stands where its folder does not tell."""
    runs = stages(folder)
    if not runs:
        return {}
    first, last = runs[0][0], runs[-1][0]
    tokens = [last_tokens(log, checkpoint(folder)) for _, log in runs]
    said = {"from": first.get("model", "random weights"), "trained_tokens": None if None in tokens else sum(tokens), "rl": is_rl(last)}
    if is_rl(last):
        budgets = last.get("children-between", "none") != "none" or last.get("token-budget-between", "none") != "none"
        return {**said, "budgets": float(last.get("condition-share", 1)) if budgets else 0.0}
    found = searches(folder)

    def each(name):
        return "; ".join(dict.fromkeys(one[name] for one in found if name in one))

    beams = [int(one["beam"].split(":")[-1]) for one in found if "beam" in one]
    return {**said, "search": each("search"), "root_beam": each("beam"), "sub_beam": each("sub-beam"), "order": each("order"),
            "max_result": each("max-result"), "beam": beams[0] if beams else None}
