"""What the tests of the paper's experiments share: samples and labs made by hand, and a program that stands in for `banyan`."""

import importlib.machinery
import importlib.util
import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench" / "paper"))
from found import run  # noqa: E402


def runner():
    """`bench/paper/run` as a module."""
    loader = importlib.machinery.SourceFileLoader("paper_run", str(SOURCE / "bench/paper/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("paper_run", loader))
    loader.exec_module(module)
    return module


def sample(solved, tokens, critical=None, wall_ms=1.0, children=0, wasted=0, context=None, claimed=None, failure=None):
    return {"solved": bool(solved), "claimed": bool(solved if claimed is None else claimed), "failure": failure,
            "usage": {"threads": 1 + children, "depth": 1, "rounds": 1, "generated_tokens": tokens, "critical_path_tokens": critical or tokens,
                      "wasted_tokens": wasted, "wall_ms": wall_ms, "longest_context": context or tokens}}


def run_of(problems, role="apr"):
    """A run that found these samples of each problem."""
    k = len(problems[0])
    rates = [{"k": i, "rate": i / 10, "ci95": [i / 10 - 0.05, i / 10 + 0.05]} for i in range(1, k + 1)]
    return run(role, {"samples": k, "pass_at_k": rates, "cons_at_k": rates}, [one for problem in problems for one in problem])


class told:
    """A lab that knows what its runs found: `findings(role, options)` gives the samples of each problem."""

    def __init__(self, findings, roles, devices=(("cpu",),), repeats=1):
        self.findings, self.known, self.timed, self.device_sets, self.repeats = findings, roles, 2, [list(d) for d in devices], repeats
        self.asked = []

    def has(self, role, who):
        return role in self.known

    def roles(self, who, *wanted):
        return [role for role in wanted if role in self.known]

    def whole(self, who, title, rows):
        return list(rows)

    def evaluate(self, role, limit=None, devices=None, repeat=0, **options):
        self.asked.append((role, devices, repeat, options))
        return run_of(self.findings(role, {**options, "devices": devices, "repeat": repeat}), role)


# A program that finds the same for every problem, and writes what it was asked beside itself.
STAND_IN = r"""#!/usr/bin/env python3
import json, pathlib, sys
words = sys.argv[1:]
here = pathlib.Path(__file__).parent
with open(here / "asked", "a") as asked:
    print(json.dumps(words), file=asked)
if (here / "fails").exists():
    code, text = (here / "fails").read_text().split(" ", 1)
    print(text, file=sys.stderr)
    sys.exit(int(code))
def option(name, usual=None):
    return words[words.index(name) + 1] if name in words else usual
if words[0] == "model":
    print(json.dumps({"parameters": 1000, "vocab_size": 68}))
    sys.exit()
problems = [json.loads(line) for line in open(option("--problems"))]
if words[0] == "generate":
    print(json.dumps({"problems": len(problems), "accuracy": 0.5, "ci95": [0.25, 0.75], "children_mean": 2.0}))
    sys.exit()
samples = int(option("--samples", 1))
usage = {"threads": 3, "depth": 1, "rounds": 1, "generated_tokens": 30, "critical_path_tokens": 20, "wasted_tokens": 0, "wall_ms": 5.0,
         "longest_context": 40}
with open(option("--results"), "w") as lines:
    for i, problem in enumerate(problems):
        for k in range(samples):
            print(json.dumps({"problem": {"numbers": problem["nums"], "target": problem["target"]}, "sample": k, "solved": i % 2 == 0,
                              "claimed": i % 2 == 0, "failure": None if i % 2 == 0 else "no_solution", "usage": usage}), file=lines)
rates = [{"k": k, "rate": 0.5, "ci95": [0.25, 0.75]} for k in range(1, samples + 1)]
print(json.dumps({"samples": samples, "failures": {}, "pass_at_k": rates, "cons_at_k": rates}))
"""


def stand_in(folder):
    """The program, and a model for it."""
    program = folder / "program" / "banyan"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    model = folder / "model"
    model.mkdir()
    for name, text in (("model.safetensors", "weights"), ("config.json", "{}"), ("tokenizer.json", "{}")):
        (model / name).write_text(text)
    return program, model
