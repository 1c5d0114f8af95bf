"""What a page says of the conditions under which its tables were measured: about.json beside them."""

import hashlib
import json
import shlex

import demonstrations
import experiments
from lab import TITLES, how_many_numbers, replace

DEVICE, DEVICE_SETS = ["cpu"], ["cpu", "cpu,cpu"]
TIMED = [one.__name__ for one in experiments.TIMED]


class mixture(Exception):
    """A table that is not measured again was measured under other conditions."""


def usual_sets(devices):
    return DEVICE_SETS if devices[0] == "cpu" else [devices[0]]


def problems_digest(work):
    return hashlib.sha256(work.content(work.chosen()).encode()).hexdigest()


def read(out):
    """about.json as it is today: earlier ones had one set of words for each experiment, and one machine for all."""
    file = out / "about.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    if "experiments" not in known:
        known["experiments"] = {name: {"words": words, "device": known.get("device", ""), "threads": "1"}
                                for name, words in known.pop("measured", {}).items()}
        for name in set(TIMED) & set(known["experiments"]):
            known["experiments"][name] |= {"timed": known.get("timed"), "timed_device": known.get("timed_device") or known.get("device", "")}
    return known


def models_of(work):
    """What is known of each model that is there."""
    about = {}
    for role, folder in work.models.items():
        if work.has(role, "about"):
            about[role] = {"title": TITLES[role], "parameters": work.about(role)["parameters"], "folder": str(folder),
                           "digest": work.identity_of_model(role), **demonstrations.origin(folder)}
    return about


def refuse_mixture(work, options, names):
    """A page says its conditions once: a table that is not measured again must have been measured under them."""
    known = read(work.out)
    others = [name for name in known["experiments"] if name not in names]
    if not others:
        return

    def compare(what, before, now):
        if before is not None and now is not None and before != now:
            raise mixture(f"{work.out}: {what}: {', '.join(others)} was measured with {before}, not {now}; choose another --out, or measure all of it again")

    compare("problems", known.get("problems"), len(work.chosen()))
    compare("seed", known.get("seed"), options.seed)
    compare("numbers", known.get("numbers"), how_many_numbers(work.chosen()[0]))
    compare("problems", known.get("problems_digest"), problems_digest(work))
    before = {m["title"]: m for m in known.get("models", [])}
    for role, folder in work.models.items():
        model = before.get(TITLES[role])
        if model and work.has(role, "about"):
            compare(TITLES[role], model["folder"], str(folder))
            compare(TITLES[role], model.get("digest"), work.identity_of_model(role))


def words(work, options, name):
    """What decides what an experiment measures and is not the default, as a command has it. Where its results are of runs on several
    kinds of devices, it names none."""
    said = []

    def add(option, value, usual):
        if value is not None and str(value) != str(usual):
            said.extend(["--" + option, str(value)])

    threads = work.ran_threads
    add("problems", options.problems, options.usual["problems"])
    add("problems-limit", options.problems_limit, None)
    if name in TIMED:
        add("timed", options.timed, options.usual["timed"])
        add("repeats", options.repeats, options.usual["repeats"])
    add("threads", next(iter(threads)) if len(threads) == 1 else None, options.usual["threads"])
    add("seed", options.seed, options.usual["seed"])
    devices = list(next(iter(work.ran_on))) if len(work.ran_on) == 1 else DEVICE
    if devices and devices != DEVICE:
        said += [word for device in devices for word in ("--device", device)]
    if name in TIMED and options.device_sets != usual_sets(devices or DEVICE):
        said += [word for devices in options.device_sets for word in ("--device-set", devices)]
    for role, folder in options.models.items():
        if folder != options.shipped.get(role):
            said += ["--model", f"{role}={folder}"]
    add("out", options.out, options.usual["out"])
    return shlex.join(said)


def commands(entries):
    """The commands that measure what is there, by the words of each experiment."""
    names = {}
    for one in experiments.ALL:
        if one.__name__ in entries:
            names.setdefault(entries[one.__name__]["words"], []).append(one.__name__)
    for said, these in names.items():
        what = ["all"] if len(these) == len(experiments.ALL) else these
        yield " ".join(["bench/paper/run", *what, *([said] if said else [])])


def begin(work):
    """Before anything is measured: what is known of other problems or numbers does not go with what comes."""
    known = read(work.out)
    other = (known.get("problems_digest", "") not in ("", problems_digest(work)) or known.get("problems") not in (None, len(work.chosen()))
             or known.get("numbers") not in (None, how_many_numbers(work.chosen()[0])))
    return {"experiments": {}} if other else known


def write(work, options, known, name, rows):
    """`known`, and what an experiment adds to it, or takes from it where it has no rows."""
    about = models_of(work)
    models = {m["title"]: m for m in known.get("models", [])}
    models |= {m["title"]: m for m in about.values()}
    entries = {**known["experiments"]}
    entries.pop(name, None)
    if rows:
        entries[name] = {"words": words(work, options, name), "device": "; ".join(sorted(work.machines)),
                         "threads": "; ".join(sorted(work.ran_threads)) or options.threads}
        if name in TIMED and work.timed_machines:
            entries[name] |= {"timed": min(options.timed, len(work.chosen())), "timed_device": "; ".join(sorted(work.timed_machines))}
    absent = {who: roles for who, roles in {**known.get("absent", {}), **work.absent}.items() if who != "about"}
    largest = max(models.values(), key=lambda m: m["parameters"], default={"parameters": 0})
    vocabularies = [work.about(role)["vocab_size"] for role in about]

    def machines(kind):
        return "; ".join(sorted({one for entry in entries.values() for one in entry.get(kind, "").split("; ")} - {""}))

    facts = {"problems": len(work.chosen()), "problems_digest": problems_digest(work), "seed": options.seed,
             "numbers": how_many_numbers(work.chosen()[0]), "device": machines("device"), "timed_device": machines("timed_device"),
             "weights": f"{largest['parameters'] / 1e6:.2f} M", "vocabulary": max(vocabularies, default=known.get("vocabulary", 0)),
             "models": sorted(models.values(), key=lambda m: list(TITLES.values()).index(m["title"])),
             "absent": {who: {TITLES.get(role, role): why for role, why in roles.items()} for who, roles in absent.items()},
             "experiments": {one.__name__: entries[one.__name__] for one in experiments.ALL if one.__name__ in entries},
             **({"page": known["page"]} if "page" in known else {})}
    replace(work.out / "about.json", json.dumps(facts, indent=1))
    return facts
