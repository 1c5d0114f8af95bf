#!/usr/bin/env python3
"""crash_daemon_test.py BANYAND [ROUNDS [SEED]]: a daemon that is killed at random moments under load, again and again.

What was acknowledged is there after the next start and ends as where nobody interfered; no tree is there twice; the
store stays sound. Rounds differ by the seed; one can be repeated, but for the moments of the machine itself."""

import collections
import http.client
import random
import sqlite3
import sys
import threading
import time

from daemon import PATIENCE, body, daemon, scratch_folder, side_by_side, told, wait_for

KINDS = 24    # different trees
CLIENTS = 5
TREES = 8     # that a client asks for in a round at most
LONGEST = 1.5 # seconds from start to kill


class clients:
    """They ask for trees until the daemon is gone, and note what they were answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = []         # kind of tree, by the label that each request has alone
        self.acknowledged = {}  # label to the tree's id

    def work(self, d, seed):
        draw = random.Random(seed)
        for _ in range(TREES):
            kind = draw.randrange(KINDS)
            with self.lock:
                label = str(len(self.asked))
                self.asked.append(kind)
            try:
                given = d.post("/v1/trees", body(kind, labels={"request": label}, wait=draw.random() < 0.5))
            except (OSError, http.client.HTTPException):
                return  # it is gone
            assert given.status in (200, 202), given
            self.acknowledged[label] = given.json["id"]

    def round(self, d, draw):
        troubles = []

        def client(seed):
            try:
                self.work(d, seed)
            except Exception as trouble:
                troubles.append(trouble)

        running = [threading.Thread(target=client, args=(draw.random(),)) for _ in range(CLIENTS)]
        for thread in running:
            thread.start()
        time.sleep(draw.uniform(0, LONGEST))
        d.kill()
        for thread in running:
            thread.join()
        if troubles:
            raise troubles[0]


def check_store(file):
    connection = sqlite3.connect(file)
    found = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert found == ("ok",), found


def check_trees(d, asked, acknowledged, wanted):
    listed = d.all_trees()
    by_label = {tree["labels"]["request"]: tree for tree in listed}
    twice = [label for label, n in collections.Counter(t["labels"]["request"] for t in listed).items() if n > 1]
    assert not twice, f"requests {twice} have more than one tree"
    for label, name in acknowledged.items():
        assert label in by_label, f"tree {name} was acknowledged and is lost"
        assert by_label[label]["id"] == name

    def check(label):
        tree = d.tree(by_label[label]["id"])
        assert told(tree) == told(wanted[asked[int(label)]]), f"tree {tree['id']} did not end as it does elsewhere"

    side_by_side(check, by_label, 4)
    return len(listed)


def main():
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    with scratch_folder() as folder, daemon(program, folder) as d:
        wanted = side_by_side(d.solve, map(body, range(KINDS)), 8)
    everyone = clients()
    with scratch_folder() as folder:
        for number in range(rounds):
            with daemon(program, folder, ready=False) as d:
                if draw.random() < 0.2:
                    time.sleep(draw.uniform(0, 0.3))  # it is killed as it begins
                else:
                    everyone.round(d.wait_until_ready(), draw)
            if number % 4 == 3:
                check_store(d.data / "trees.db")
        with daemon(program, folder) as d:
            wait_for(d.idle, "unfinished trees do not end", PATIENCE + len(everyone.asked), 0.05)
            trees = check_trees(d, everyone.asked, everyone.acknowledged, wanted)
            assert d.stop() == 0
        check_store(d.data / "trees.db")
    print(f"{rounds} rounds, {len(everyone.asked)} requests, {len(everyone.acknowledged)} acknowledged, {trees} trees: "
          "none lost, none twice, all as they should be")


if __name__ == "__main__":
    main()
