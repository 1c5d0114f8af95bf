"""Runs `banyan` on the problems and keeps what it found: what is there already is not run again."""

import ctypes
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from statistics95 import mean, mean_interval, share_interval

# What a role is called in figures and tables.
TITLES = {"apr": "APR", "apr-rl": "APR + RL", "sosplus": "SoS+", "sosplus-rl": "SoS+ + RL", "sos": "SoS",
          "sosplus-beam5": "SoS+ (beam size = 5)", "sosplus-rejection": "SoS+ (rejection sampling)"}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(file.read()).hexdigest()


def replace(path, text):
    """A file is there as a whole or not at all, also when the run is killed."""
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(text)
    fresh.replace(path)


def machine_of(devices):
    """The devices as asked for, each once, what the GPUs among them are called, and the cores beside them."""
    parts = []
    program = shutil.which("nvidia-smi")
    if program and any(device.startswith("cuda") for device in devices):
        said = subprocess.run([program, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
        parts += dict.fromkeys(said.stdout.splitlines()) if said.returncode == 0 else []
    return f"{', '.join(dict.fromkeys(devices))} ({', '.join([*parts, f'{os.cpu_count()} cores'])})"


def end_with(parent):
    """What a child calls so that it does not outlive us, even where we are killed: it would run on beside the next run."""
    prctl, death_signal = ctypes.CDLL(None, use_errno=True).prctl, 1  # PR_SET_PDEATHSIG

    def begin():
        prctl(death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return begin


def failed_by_machine(figures):
    """How many trees failed for a reason that is not the model's."""
    return sum(figures["failures"].get(why, 0) for why in ("deadline", "pool_lost", "pool_full", "child_lost", "not_stored"))


def whole(value):
    """0.0 and 0 are one setting, and one run."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class run:
    """What `banyan evaluate` found under one setting."""

    def __init__(self, role, figures, lines):
        self.role, self.figures, self.samples = role, figures, figures["samples"]
        self.problems = [lines[i:i + self.samples] for i in range(0, len(lines), self.samples)]

    def solved(self):
        """One share per problem."""
        return [mean([s["solved"] for s in problem]) for problem in self.problems]

    def usage(self, field):
        """One mean per problem."""
        return [mean([s["usage"][field] for s in problem]) for problem in self.problems]

    def children(self):
        return [threads - 1 for threads in self.usage("threads")]

    def best(self):
        """All samples of a problem as one, which is right if one of them is (pass@k). They run side by side."""
        def together(samples):
            usages = [s["usage"] for s in samples]
            longest = ("critical_path_tokens", "longest_context", "depth", "rounds", "wall_ms")
            usage = {field: (max if field in longest else sum)(u[field] for u in usages) for field in usages[0]}
            return {"solved": any(s["solved"] for s in samples), "usage": usage}

        return run(self.role, {"samples": 1}, [together(samples) for samples in self.problems])

    def row(self, series, setting):
        """A row of the tables that all experiments write: accuracy and costs with their intervals."""
        row = {"series": series, "setting": setting, "problems": len(self.problems), "samples": self.samples}

        def put(name, interval):
            row[name], row[name + "_low"], row[name + "_high"] = interval

        put("accuracy", share_interval(self.solved(), len(self.problems) * self.samples))
        put("tokens", mean_interval(self.usage("generated_tokens")))
        put("critical", mean_interval(self.usage("critical_path_tokens")))
        put("wasted", mean_interval(self.usage("wasted_tokens")))
        put("children", mean_interval(self.children()))
        put("wall_ms", mean_interval(self.usage("wall_ms")))
        threads = sum(s["usage"]["threads"] for p in self.problems for s in p)
        row["tokens_a_thread"] = sum(s["usage"]["generated_tokens"] for p in self.problems for s in p) / max(1, threads)
        return row

    def rows_at_k(self, series, kind):
        """Of k samples together: `kind` is pass or cons. They run side by side, so that the longest is the critical path."""
        for at in self.figures[f"{kind}_at_k"]:
            k = at["k"]
            groups = self.samples // k
            row = self.row(f"{series} {kind}@k", f"k = {k}")
            row["accuracy"], (row["accuracy_low"], row["accuracy_high"]) = at["rate"], at["ci95"]
            longest = [mean([max(s["usage"]["critical_path_tokens"] for s in problem[g * k:(g + 1) * k])
                             for g in range(groups)]) for problem in self.problems]
            row["critical"], row["critical_low"], row["critical_high"] = mean_interval(longest)
            for field in ("tokens", "tokens_low", "tokens_high", "wasted", "wasted_low", "wasted_high"):
                row[field] *= k
            del row["wall_ms"], row["wall_ms_low"], row["wall_ms_high"]
            yield row


NOT_RUN = "not run"


class bad_problems(Exception):
    pass


class not_kept(Exception):
    """A run that is not there where none may be made."""


def read_problems(file):
    """A file of problems, at least one, as `banyan evaluate` takes it."""
    text = pathlib.Path(file).read_text()
    try:
        problems = json.loads(text) if text.lstrip().startswith("[") else [json.loads(l) for l in text.splitlines() if l.strip()]
    except ValueError:
        raise bad_problems(f"--problems {file}: it is not JSON, nor a line of JSON for each problem; see `banyan generate problems`") from None
    for line, problem in enumerate(problems, 1):
        if not isinstance(problem, dict):
            raise bad_problems(f"--problems {file}: entry {line} is no problem; see `banyan generate problems`")
    if not problems:
        raise bad_problems(f"--problems {file}: it is empty; see `banyan generate problems`")
    return problems


def how_many_numbers(problem):
    return len(problem.get("nums", problem.get("numbers", [])))


class lab:
    def __init__(self, options):
        self.banyan, self.out, self.seed = options.banyan, pathlib.Path(options.out), options.seed
        self.devices, self.threads = options.device, options.threads
        self.models = dict(options.models)
        self.limit, self.source = options.problems_limit, pathlib.Path(options.problems)
        self.kept, self.machines, self.timed_machines = options.kept, set(), set()
        self.results = self.out / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        self.digests, self.absent = {}, {}

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def chosen(self, limit=None):
        """The first of the problem set, as many as are asked for."""
        asked = [n for n in (limit, self.limit) if n]
        problems = read_problems(self.source)
        return problems[:min(asked)] if asked else problems

    def problems(self, limit=None):
        """A file of them."""
        chosen = self.chosen(limit)
        file = self.out / f"problems-{len(chosen)}.jsonl"
        content = "".join(json.dumps(p) + "\n" for p in chosen)
        if not file.exists() or file.read_text() != content:
            replace(file, content)
        return file

    def has(self, role, who):
        """Is the model there? If not, `who` goes without it and says so."""
        folder = self.models.get(role)
        if folder and (pathlib.Path(folder) / "model.safetensors").exists():
            return True
        why = f"there is no model at {folder}" if folder else "no model was given"
        if role not in self.absent.setdefault(who, {}):
            self.absent[who][role] = why
            self.say(f"{who}: without {TITLES[role]}: {why} (--model {role}=DIR)")
        return False

    def roles(self, who, *wanted):
        return [role for role in wanted if self.has(role, who)]

    def whole(self, who, title, rows):
        """A curve of `who`, or without a title its table: all its rows, or none, said, where one needs a run that is not there
        and none may be made."""
        try:
            return list(rows)
        except not_kept as run_of:
            if title:
                self.absent.setdefault(who, {})[title] = NOT_RUN
            self.say(f"{who}: {f'without {title}' if title else 'no table'}: no run {run_of}")
            return []

    def digest(self, path):
        path = pathlib.Path(path).resolve()
        if path not in self.digests:
            self.digests[path] = digest(path)
        return self.digests[path]

    def evaluate(self, role, limit=None, devices=None, **options):
        """`options` are those of `banyan evaluate`, in Python's spelling. With `devices` the wall time counts; else what was found
        is kept wherever it was: accuracy and tokens are no matter of the device."""
        options = {name: whole(value) for name, value in options.items()}
        problems = self.problems(limit)
        model = pathlib.Path(self.models[role])
        words = [f"{name.replace('_', '-')}-{value}" for name, value in sorted(options.items())]
        if devices:
            words.append("on-" + "+".join(devices).replace(":", ""))
        name = ".".join([role, problems.stem, *words])
        identity = {"model": self.digest(model / "model.safetensors"), "problems": self.digest(problems),
                    "seed": self.seed, "options": options, **({"device": devices, "threads": self.threads} if devices else {})}
        kept, lines = self.results / f"{name}.json", self.results / f"{name}.jsonl"
        if kept.exists() and lines.exists():
            known = json.loads(kept.read_text())
            same = {what: known["identity"].get(what) for what in identity} == json.loads(json.dumps(identity))
            if same and not failed_by_machine(known["figures"]):
                where = known.get("machine", "an unknown machine")
                (self.timed_machines if devices else self.machines).add(where)
                return run(role, known["figures"], [json.loads(l) for l in lines.read_text().splitlines()])
        if self.kept:
            raise not_kept(name)
        self.say(f"running {name}")
        fresh = lines.with_name(lines.name + ".tmp")
        for left in self.results.iterdir():  # by a run that was killed
            if left.name.startswith(fresh.name):
                left.unlink()
        command = [self.banyan, "evaluate", "--model", model, "--problems", problems, "--results", fresh, "--json", "--quiet",
                   "--seed", self.seed, "--threads", self.threads, "--deadline", 0]  # a slow machine finds the same
        for device in devices or self.devices:
            command += ["--device", device]
        for option, value in options.items():
            command += ["--" + option.replace("_", "-"), value]
        figures = json.loads(self.call(command))
        if lost := failed_by_machine(figures):
            sys.exit(f"{name}: {lost} of its trees failed by the machine, and say nothing of the model; run it again")
        kept.unlink(missing_ok=True)
        fresh.replace(lines)
        replace(kept, json.dumps({"identity": identity, "machine": machine_of(devices or self.devices), "command": [str(c) for c in command], "figures": figures}, indent=1))
        return self.evaluate(role, limit, devices, **options)

    def symbolic(self, *options):
        """How many of the problems a symbolic search solves; too quick to be kept."""
        return json.loads(self.call([self.banyan, "generate", "traces", "--problems", self.problems(), "--summary", "--json",
                                     "--seed", self.seed, *options]))

    def about(self, role):
        return json.loads(self.call([self.banyan, "model", "info", self.models[role], "--json"]))

    def beam(self, role):
        """The largest branching cap that a model's demonstrations had at the root, where its folder tells."""
        file = pathlib.Path(self.models[role]) / "train.conf"
        said = re.search(r"^beam = (?:\d+:)?(\d+)$", file.read_text(), re.MULTILINE) if file.exists() else None
        return int(said[1]) if said else None

    def call(self, command):
        with tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=errors, text=True,
                                  preexec_fn=end_with(os.getpid()))
            if done.returncode != 0:
                errors.seek(0)
                sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {errors.read().strip()}")
            return done.stdout
