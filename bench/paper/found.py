"""What a run of `banyan evaluate` found, and the rows that tables have of it."""

from collections import Counter

from statistics95 import mean, mean_interval, mean_largest, share_interval


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

    def failed(self):
        """How many samples claimed a solution that is none, and why the others have none, where the results tell."""
        every = [s for problem in self.problems for s in problem]
        if not all("claimed" in s and "failure" in s for s in every):
            return {}
        why = Counter(s["failure"] for s in every if not s["solved"] and s["failure"])
        return {"claimed_wrong": sum(s["claimed"] and not s["solved"] for s in every),
                "failures": ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(why.items(), key=lambda w: (-w[1], w[0])))}

    def row(self, series, setting, timed=False):
        """A row of the tables that all experiments write: accuracy and costs with their intervals; wall times of `timed` runs alone."""
        row = {"series": series, "setting": setting, "problems": len(self.problems), "samples": self.samples}
        put(row, "accuracy", share_interval(self.solved(), len(self.problems) * self.samples))
        put(row, "tokens", mean_interval(self.usage("generated_tokens")))
        put(row, "critical", mean_interval(self.usage("critical_path_tokens")))
        put(row, "wasted", mean_interval(self.usage("wasted_tokens")))
        put(row, "children", mean_interval(self.children()))
        if timed:
            put(row, "wall_ms", mean_interval(self.usage("wall_ms")))
        threads = sum(s["usage"]["threads"] for p in self.problems for s in p)
        row["tokens_a_thread"] = sum(s["usage"]["generated_tokens"] for p in self.problems for s in p) / max(1, threads)
        return {**row, **self.failed()}

    def rows_at_k(self, series, kind):
        """Of k samples together: `kind` is pass or cons. They run side by side, so that the longest is the critical path. All figures
        are means over all choices of k among the samples."""
        for at in self.figures[f"{kind}_at_k"]:
            k = at["k"]
            row = self.row(f"{series} {kind}@k", f"k = {k}")
            row["accuracy"], (row["accuracy_low"], row["accuracy_high"]) = at["rate"], at["ci95"]
            put(row, "critical", mean_interval([mean_largest([s["usage"]["critical_path_tokens"] for s in problem], k)
                                                for problem in self.problems]))
            for field in ("tokens", "wasted", "children"):
                for end in ("", "_low", "_high"):
                    row[field + end] *= k
            for field in ("claimed_wrong", "failures"):  # of all samples, not of k
                row.pop(field, None)
            yield row


def put(row, name, interval):
    row[name], row[name + "_low"], row[name + "_high"] = interval


def together(runs):
    """One run that was repeated: each problem's wall time is the mean of its repeats; all else is of the first."""
    first = runs[0]
    if len(runs) == 1:
        return first
    lines = [{**samples[i], "usage": {**samples[i]["usage"], "wall_ms": mean([r.problems[p][i]["usage"]["wall_ms"] for r in runs])}}
             for p, samples in enumerate(first.problems) for i in range(first.samples)]
    return run(first.role, first.figures, lines)
