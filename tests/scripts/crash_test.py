"""crash_test.py BANYAND [ROUNDS [SEED]]: a daemon killed at random moments under load, again and again.

What was acknowledged is there after the next start and ends as in a daemon that nobody disturbed; no tree is there twice."""

import http.client
import json
import random
import sqlite3
import sys
import threading
import time

from daemon import MODEL, daemon, scratch_folder, wait_for

SAMPLING = {"temperature": 1}


def requests(count, draw):
    with open(MODEL / "heldout.jsonl", encoding="utf-8") as lines:
        known = [json.loads(line) for line in lines]
    for problem in draw.sample(known, count):
        yield {"problem": {"numbers": problem.get("numbers") or problem["nums"], "target": problem["target"]},
               "sampling": {**SAMPLING, "seed": draw.randrange(1 << 30)}}


def texts(tree):
    return [(t["path"], t["state"], t["text"]) for t in tree["threads"]]


class round_of_work:
    """Clients that submit until the daemon is gone; half of them wait for their trees."""

    def __init__(self, d, draw, clients=4):
        self.d, self.acknowledged, self.lock = d, {}, threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(list(requests(40, draw)), i % 2 == 0)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def work(self, wanted, wait):
        for body in wanted:
            try:
                given = self.d.post("/v1/trees", {**body, "wait": wait})
                name = given.json["id"]
            except (OSError, http.client.HTTPException, ValueError):
                return # it is gone
            with self.lock:
                self.acknowledged[name] = body

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.acknowledged


def check(program, acknowledged, d, draw):
    """All are there, once, and some of them are what an undisturbed daemon makes of them."""
    wait_for(d.idle, "unfinished trees do not end", 120 + 0.3 * len(acknowledged), 0.05)
    names = [tree["id"] for tree in d.all_trees()]
    assert len(names) == len(set(names)), "a tree is there twice"
    missing = set(acknowledged) - set(names)
    assert not missing, f"acknowledged and lost: {sorted(missing)[:3]}"
    with scratch_folder() as other, daemon(program, other) as undisturbed:
        for name in draw.sample(sorted(acknowledged), min(12, len(acknowledged))):
            found = d.tree(name)
            assert found["state"] in ("done", "failed") and found["failure"] in (None, "no_solution", "malformed_spawn", "context_full"), found
            assert texts(found) == texts(undisturbed.solve(acknowledged[name])), f"{name} ended otherwise"


def main():
    program, *rest = sys.argv[1:]
    rounds, seed = (int(word) for word in (rest + ["6", "1"][len(rest):]))
    draw, acknowledged = random.Random(seed), {}
    with scratch_folder() as folder:
        for number in range(rounds):
            with daemon(program, folder) as d:
                load = round_of_work(d, draw)
                time.sleep(draw.uniform(0, 1.2))
                d.kill()
                acknowledged.update(load.join())
            print(f"round {number + 1}: {len(acknowledged)} acknowledged", flush=True)
        with daemon(program, folder) as d:
            check(program, acknowledged, d, draw)
            store = d.data / "trees.db"
        found = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute("PRAGMA integrity_check").fetchone()
        assert found == ("ok",), found
    print(f"{rounds} rounds, {len(acknowledged)} trees, none lost, none twice")


if __name__ == "__main__":
    main()
