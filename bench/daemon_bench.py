#!/usr/bin/env python3
"""daemon_bench.py BANYAND: what a daemon adds to decoding, and how it holds up. Standard library only.

  overhead  200 clients at a time solve problems; what each waits beyond its tree's own life (created to finished), and
            what /v1/status takes meanwhile, for --sync full and normal
  streams   1,000 open event streams on one tree: how many get all of its events
  recovery  10,000 unfinished trees: from the start of the process to the line with its address, against the same
            start with an empty store
  idle      CPU of a daemon that has nothing to do

Machines differ: figures of one run belong together. `--only NAME` runs one part, `--json` prints one object.
"""

import argparse
import json
import pathlib
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "scripts"))
from daemon import MODEL, daemon, scratch_folder, wait_for  # noqa: E402


def problems(count):
    with open(MODEL / "heldout.jsonl", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [{"numbers": p.get("numbers") or p["nums"], "target": p["target"]} for p in (found * (count // len(found) + 1))[:count]]


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def share(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def overhead(program, sync, clients=200, trees=1000):
    extra, looks, over = [], [], threading.Event()
    with scratch_folder() as folder, daemon(program, folder, "--sync", sync, "--concurrency", clients) as d:
        def one(problem):
            begin = time.time()
            tree = d.solve({"problem": problem, "budget": {"max_tokens": 40}})
            waited = time.time() - begin
            extra.append(1000 * (waited - (at(tree["finished"]) - at(tree["created"]))))

        def look():
            while not over.is_set():
                begin = time.time()
                d.status()
                looks.append(1000 * (time.time() - begin))
                time.sleep(0.02)
        watcher = threading.Thread(target=look)
        watcher.start()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, problems(trees)))
        over.set()
        watcher.join()
    return {"sync": sync, "clients": clients, "trees": trees, "extra_ms_p50": share(extra, 0.5), "extra_ms_p99": share(extra, 0.99),
            "status_ms_p50": share(looks, 0.5), "status_ms_p99": share(looks, 0.99)}


def streams(program, count=1000):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * count + 500), hard))
    whole = []
    with scratch_folder() as folder, daemon(program, folder) as d:
        name = d.submit({"problem": problems(1)[0], "sampling": {"temperature": 1}})
        d.post(f"/v1/trees/{name}/pause")
        opened = [d.stream(f"/v1/trees/{name}/events") for _ in range(count)]
        before = d.cpu_s()
        d.post(f"/v1/trees/{name}/resume")

        def read(events):
            kinds = [e.name for e in events]
            events.close()
            whole.append(bool(kinds) and kinds[-1] == "done")
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(read, opened))
        return {"streams": count, "whole": sum(whole), "daemon_cpu_s": d.cpu_s() - before, "daemon_rss_mb": d.resident_bytes() / 1e6}


def start_s(program, folder):
    begin = time.time()
    d = daemon(program, folder, "--concurrency", 1)
    return d, time.time() - begin


def recovery(program, count=10000):
    with scratch_folder() as folder:
        d, empty = start_s(program, folder)
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda p: d.submit({"problem": p}), problems(count)))
        left = d.status()["store"]["unfinished"]
        d.kill()
        d, full = start_s(program, folder)
        wait_for(lambda: d.status()["trees"]["queued"] > 0, "the trees are queued")
        d.kill()
    return {"unfinished": left, "start_s": full, "start_empty_s": empty}


def idle(program, seconds=10):
    with scratch_folder() as folder, daemon(program, folder) as d:
        d.solve({"problem": problems(1)[0]})
        time.sleep(1)
        before = d.cpu_s()
        time.sleep(seconds)
        return {"seconds": seconds, "cpu_percent": 100 * (d.cpu_s() - before) / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--only", choices=["overhead", "streams", "recovery", "idle"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = {"overhead": lambda: [overhead(options.program, sync) for sync in ("full", "normal")],
             "streams": lambda: streams(options.program), "recovery": lambda: recovery(options.program),
             "idle": lambda: idle(options.program)}
    results = {name: run() for name, run in parts.items() if options.only in (None, name)}
    if options.json:
        return print(json.dumps(results))
    for name, found in results.items():
        for row in found if isinstance(found, list) else [found]:
            print(name.ljust(9), "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
