"""Runs `banyan` on the problems and keeps what it found: what is there already is not run again."""

import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from found import run

# What a role is called in figures and tables.
TITLES = {"apr": "APR", "apr-rl": "APR + RL", "sosplus": "SoS+", "sosplus-rl": "SoS+ + RL", "sos": "SoS",
          "sosplus-beam5": "SoS+ (beam size = 5)", "sosplus-rejection": "SoS+ (rejection sampling)"}


# What of a model's folder decides what it says.
WEIGHTS = "model.safetensors"
MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "banyan.json")


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


def given(command, option):
    """The values that a command has for an option."""
    return [value for name, value in zip(command, command[1:], strict=False) if name == option]


def whole(value):
    """0.0 and 0 are one setting, and one run."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NOT_RUN = "not run"


class bad_problems(Exception):
    pass


class program_failed(Exception):
    """The program ended with a code of its own, and said why."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class not_kept(Exception):
    """A run that is not there where none may be made."""


def numbers_of(problem):
    return problem.get("nums", problem.get("numbers"))


def is_problem(entry):
    def whole_number(value):
        return isinstance(value, int) and not isinstance(value, bool)

    if not isinstance(entry, dict) or not whole_number(entry.get("target")):
        return False
    numbers = numbers_of(entry)
    return isinstance(numbers, list) and 2 <= len(numbers) <= 6 and all(map(whole_number, numbers))


def read_problems(file):
    """A file of problems, at least two, as `banyan evaluate` takes it."""
    try:
        text = pathlib.Path(file).read_text(encoding="utf-8-sig")
        problems = json.loads(text) if text.lstrip().startswith("[") else [json.loads(l) for l in text.splitlines() if l.strip()]
    except OSError as error:
        raise bad_problems(f"--problems {file}: {error.strerror}; give a file of problems") from None
    except ValueError:
        raise bad_problems(f"--problems {file}: it is not JSON, nor a line of JSON for each problem; see `banyan generate problems`") from None
    for line, problem in enumerate(problems, 1):
        if not is_problem(problem):
            raise bad_problems(f"--problems {file}: entry {line} is no problem; see `banyan generate problems`")
        if how_many_numbers(problem) != how_many_numbers(problems[0]):
            raise bad_problems(f"--problems {file}: entry {line} has {how_many_numbers(problem)} numbers and the first has {how_many_numbers(problems[0])}; "
                               "give problems of as many numbers each")
    if not problems:
        raise bad_problems(f"--problems {file}: it is empty; see `banyan generate problems`")
    if len(problems) < 2:
        raise bad_problems(f"--problems {file}: an interval needs two problems at least; give 2 or more")
    return problems


def how_many_numbers(problem):
    return len(numbers_of(problem))


def are_of(lines, problems, samples):
    """Are these lines what was found of all the problems, so many samples each?"""
    def key(problem):
        return sorted(numbers_of(problem)), problem["target"]

    return len(lines) == len(problems) * samples and all(
        key(line["problem"]) == key(problems[i // samples]) and "solved" in line and "usage" in line for i, line in enumerate(lines))


class lab:
    def __init__(self, options):
        self.banyan, self.out, self.seed = options.banyan, pathlib.Path(options.out), options.seed
        self.devices, self.threads = options.device, options.threads
        self.models = dict(options.models)
        self.limit, self.source = options.problems_limit, pathlib.Path(options.problems)
        self.kept, self.repeats = options.kept, options.repeats
        self.results = self.out / "results"
        self.results.mkdir(parents=True, exist_ok=True)
        self.digests, self.infos, self.loaded, self.absent = {}, {}, {}, {}
        self.begin()

    def begin(self):
        """Another experiment: forget where the runs of the last one were."""
        self.machines, self.timed_machines, self.ran_on, self.ran_threads = set(), set(), set(), set()

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def chosen(self, limit=None):
        """The first of the problem set, as many as are asked for."""
        asked = [n for n in (limit, self.limit) if n]
        problems = read_problems(self.source)
        return problems[:min(asked)] if asked else problems

    def content(self, problems):
        return "".join(json.dumps(p) + "\n" for p in problems)

    def problems(self, limit=None):
        """A file of them."""
        return self.file_of(self.chosen(limit))

    def file_of(self, chosen):
        file = self.out / f"problems-{len(chosen)}.jsonl"
        content = self.content(chosen)
        if not file.exists() or file.read_text() != content:
            replace(file, content)
        return file

    def has(self, role, who):
        """Is the model there? If not, `who` goes without it and says so."""
        folder = self.models.get(role)
        if folder and (pathlib.Path(folder) / WEIGHTS).exists():
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

    def files_of_model(self, role):
        """Digests of its weights and of the other files of its folder that decide what it says."""
        folder = pathlib.Path(self.models[role])
        return self.digest(folder / WEIGHTS), {name: self.digest(folder / name) for name in MODEL_FILES if (folder / name).exists()}

    def identity_of_model(self, role):
        """The same as one word."""
        weights, files = self.files_of_model(role)
        return hashlib.sha256(" ".join([weights, *files.values()]).encode()).hexdigest()[:16]

    def identity(self, role, problems, devices, options):
        """What has to be the same where a result is to be taken for this run's."""
        weights, files = self.files_of_model(role)
        return {"model": weights, "files": files, "problems": self.digest(problems), "seed": self.seed, "options": options,
                **({"device": devices, "threads": self.threads} if devices else {})}

    def found_already(self, role, name, identity, problems, devices):
        """The run of that name, where it is there as a whole and is that run; a timed one must have been on this machine, or where
        none is made, on the machine of the others."""
        try:
            if name not in self.loaded:
                self.loaded[name] = (json.loads((self.results / f"{name}.json").read_text()),
                                     [json.loads(line) for line in (self.results / f"{name}.jsonl").read_text().splitlines()])
            known, lines = self.loaded[name]
            figures, was, command = known["figures"], known["identity"], known.get("command", [])
            later = {what for what in ("files",) if what not in was}  # results of before have no such thing
            if {what: was.get(what) for what in identity if what not in later} != {what: v for what, v in identity.items() if what not in later}:
                return None
            if failed_by_machine(figures) or not are_of(lines, problems, figures["samples"]):
                return None
            if figures["samples"] != identity["options"].get("samples", 1):
                return None
            found = run(role, figures, lines)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        where = known.get("machine", "an unknown machine")
        if devices:
            wanted = (self.timed_machines or {where}) if self.kept else {machine_of(devices)}
            if where not in wanted:
                return None
        (self.timed_machines if devices else self.machines).add(where)
        if not devices:
            self.ran_on.add(tuple(given(command, "--device")))
        self.ran_threads.update(given(command, "--threads"))
        return found

    def evaluate(self, role, limit=None, devices=None, repeat=0, **options):
        """`options` are those of `banyan evaluate`, in Python's spelling. With `devices` the wall time counts, and the run can be
        repeated; else what was found is kept wherever it was: accuracy and tokens are no matter of the device."""
        options = {name: whole(value) for name, value in options.items()}
        problems = self.problems(limit)
        words = [f"{name.replace('_', '-')}-{value}" for name, value in sorted(options.items())]
        if devices:
            words.append("on-" + "+".join(devices).replace(":", ""))
        if repeat:
            words.append(f"again-{repeat}")
        name = ".".join([role, problems.stem, *words])
        identity = self.identity(role, problems, devices, options)
        found = self.found_already(role, name, identity, self.chosen(limit), devices)
        if found:
            return found
        if self.kept:
            raise not_kept(name)
        self.say(f"running {name}")
        kept, lines = self.results / f"{name}.json", self.results / f"{name}.jsonl"
        fresh = lines.with_name(lines.name + ".tmp")
        for left in self.results.iterdir():  # by a run that was killed
            if left.name.startswith(fresh.name):
                left.unlink()
        command = [self.banyan, "evaluate", "--model", self.models[role], "--problems", problems, "--results", fresh, "--json", "--quiet",
                   "--seed", self.seed, "--threads", self.threads, "--deadline", 0]  # a slow machine finds the same
        for device in devices or self.devices:
            command += ["--device", device]
        for option, value in options.items():
            command += ["--" + option.replace("_", "-"), value]
        figures = json.loads(self.call(command))
        if lost := failed_by_machine(figures):
            raise program_failed(3, f"{name}: {lost} of its trees failed by the machine, and say nothing of the model; run it again")
        self.loaded.pop(name, None)
        kept.unlink(missing_ok=True)
        fresh.replace(lines)
        replace(kept, json.dumps({"identity": identity, "machine": machine_of(devices or self.devices), "command": [str(c) for c in command],
                                  "figures": figures}, indent=1))
        found = self.found_already(role, name, identity, self.chosen(limit), devices)
        if not found:
            raise program_failed(3, f"{name}: `{self.banyan} evaluate` did not write what it found of every problem; is it this version's?")
        return found

    def symbolic(self, *options):
        """How many of the problems a symbolic search solves, of all of them whatever the limit: too quick to be kept, and the first
        ones may be easy for one search and not for another."""
        everything = self.file_of(read_problems(self.source))
        command = [self.banyan, "generate", "traces", "--problems", everything, "--summary", "--json", "--seed", self.seed]
        return json.loads(self.call([*command, *options]))

    def about(self, role):
        if role not in self.infos:
            self.infos[role] = json.loads(self.call([self.banyan, "model", "info", self.models[role], "--json"]))
        return self.infos[role]

    def call(self, command):
        words = [str(word) for word in command]
        with tempfile.TemporaryFile("w+") as errors:
            try:
                done = subprocess.run(words, stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=end_with(os.getpid()),
                                      env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"})  # a user's options are not the paper's
            except OSError as error:
                raise program_failed(2, f"--banyan {self.banyan}: {error.strerror}; give the program that the build has made") from None
            errors.seek(0)
            said = errors.read().strip()
        if done.returncode in (2, 3):
            raise program_failed(done.returncode, said.splitlines()[-1] if said else f"{self.banyan} ended with {done.returncode}")
        if done.returncode != 0:
            last = said.splitlines()[-1] if said else "it said nothing"
            raise program_failed(3, f"`{' '.join(words)}` ended with {done.returncode}: {last}; run it again")
        return done.stdout
