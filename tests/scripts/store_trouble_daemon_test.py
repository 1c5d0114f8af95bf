#!/usr/bin/env python3
"""store_trouble_daemon_test.py BANYAND [TEST…]: stores that are damaged, and a disk without room."""

import json
import pathlib
import re
import resource
import signal
import sqlite3
import subprocess
import unittest

from daemon import ENVIRONMENT, PATIENCE, body, side_by_side, wait_for
from daemon_case import BANYAND, daemon_case, metrics_page, undisturbed, waiting_clients


class store_trouble(daemon_case):
    def damage(self, one, sql, *values):
        store = sqlite3.connect(one.data / "trees.db")
        store.execute(sql, values)
        store.commit()
        store.close()

    def rows(self, one, sql):
        store = sqlite3.connect(one.data / "trees.db")
        found = store.execute(sql).fetchall()
        store.close()
        return found

    def export(self, one):
        program = pathlib.Path(BANYAND).with_name("banyan")
        return subprocess.run([program, "export", "--store", one.data / "trees.db"], capture_output=True, text=True,
                              timeout=PATIENCE, env=ENVIRONMENT)

    def test_a_damaged_tree_costs_nothing_but_itself(self):
        one = self.start("--concurrency", 1)
        whole, finished = (one.solve(body(i))["id"] for i in range(2))
        asked = [one.submit(body(2 + i)) for i in range(12)]
        one.kill()
        unfinished = [row[0] for row in self.rows(one, "SELECT id FROM trees WHERE finished_ms IS NULL ORDER BY seq")]
        self.assertGreater(len(unfinished), 1)
        lost = unfinished[0]
        garbage = b"\x00\xff" * 20
        self.damage(one, "UPDATE trees SET request=? WHERE id=?", garbage, lost)
        self.damage(one, "UPDATE trees SET outline=?, tree=? WHERE id=?", garbage, garbage, finished)

        exported = self.export(one)
        self.assertEqual(exported.returncode, 3)
        self.assertEqual({json.loads(line)["id"] for line in exported.stdout.splitlines()}, {whole, *asked} - {lost})
        self.assertRegex(exported.stderr, f"banyan: .*trees.db: tree {lost}: ")
        self.assertRegex(exported.stderr, f"banyan: .*trees.db: tree {finished}: ")

        two = self.start("--log-format", "json")
        wait_for(two.idle, "the others do not go on")
        listed = two.get("/v1/trees?limit=1000")
        self.assertEqual(listed.status, 200, listed)
        self.assertEqual(sorted(listed.json["damaged"]), sorted([lost, finished]))
        self.assertEqual({t["id"] for t in listed.json["trees"]}, {whole, *asked} - {lost})
        for name in (lost, finished):
            told = self.refused(two.get(f"/v1/trees/{name}"), 500, "damaged_tree").error["message"]
            self.assertIn(str(two.data / "trees.db"), told)
            self.assertIn(f"tree {name}: ", told)
        self.refused(two.post(f"/v1/trees/{lost}/cancel"), 500, "damaged_tree")
        self.assertEqual(two.get(f"/v1/trees/{whole}").status, 200)
        self.assertEqual(metrics_page(two.get("/metrics").body).value("banyan_store_damaged_trees"), 2)
        self.assertEqual(two.status()["store"]["damaged"], 2)
        two.get("/v1/trees")
        self.assertEqual(two.stop(), 0)
        lines = [json.loads(line) for line in two.log().splitlines() if line.startswith("{")]
        for name in (lost, finished):
            about = [(x["level"], x["message"]) for x in lines if x.get("tree") == name]
            said = [level for level, message in about if not message.startswith(("GET ", "POST "))]
            self.assertEqual(said, ["error"], about)
        self.assertEqual(self.rows(two, f"SELECT request FROM trees WHERE id='{lost}'"), [(garbage,)])

    def test_readiness_goes_with_the_room_on_the_disk_and_comes_back(self):
        one = self.start("--log-level", "info")
        one.solve(body(0))
        self.assertEqual(one.get("/readyz").status, 200)
        no_room = max(file.stat().st_size for file in one.data.iterdir())
        _, hard = resource.prlimit(one.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (no_room, hard))
        wait_for(lambda: one.post("/v1/trees", {**body(1), "wait": False}).status == 503, "the disk has room")
        refused = self.refused(one.get("/readyz"), 503, "unavailable")
        self.assertIn("trees.db", refused.error["message"])
        now = one.status()
        self.assertFalse(now["ready"])
        self.assertIn("trees.db", now["not_ready"])
        self.assertIn("make room", now["store"]["trouble"])
        self.assertEqual(metrics_page(one.get("/metrics").body).value("banyan_ready"), 0)
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_for(lambda: one.get("/readyz").status == 200, "it does not become ready")  # without any write of ours
        self.assertIsNone(one.status()["not_ready"])
        one.logs("the store can be written again")
        one.solve(body(1))


class full_disk(daemon_case):
    """The kernel refuses to let files grow, as a full disk does."""

    def room(self, one, size):
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_nothing_is_taken_that_cannot_be_kept_and_nothing_taken_is_lost(self):
        one = self.start("--concurrency", 3)
        names = [one.submit(body(i)) for i in range(8)]
        self.room(one, 4096)
        for wait in (False, True):
            given = self.refused(one.post("/v1/trees", {**body(0), "wait": wait}), 503, "unavailable")
            self.assertIn("store", given.error["message"])
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees that began do not end", pause=0.05)
        self.assertEqual((one.get("/healthz").status, one.get("/v1/trees").status), (200, 200))
        one.logs("make room")
        self.assertLess(one.log().count("\n"), 60)
        self.room(one, resource.RLIM_INFINITY)
        for number, name in enumerate(names):
            tree = one.finished(name)
            if number < 2:
                self.same_texts(tree, undisturbed(number))
        self.assertEqual(one.solve(body(0))["state"], undisturbed(0)["state"])
        wait_for(lambda: one.status()["store"]["unfinished"] == 0, "the store has trees that nobody grows")
        self.assertEqual(one.stop(), 0)

    def test_who_waits_for_a_tree_whose_end_cannot_be_stored_hears_its_id(self):
        one = self.start("--concurrency", 64)
        told = waiting_clients(one, 20)
        self.room(one, 4096)
        names = re.findall(r"store: it could not be written; tree (\w{26}) is kept", str([a.error for a in told() if a.status == 503]))
        self.assertGreater(len(names), 5)
        self.room(one, resource.RLIM_INFINITY)
        for name in names:
            one.finished(name)

    def test_of_a_tree_that_was_refused_nothing_is_kept(self):
        one = self.start("--concurrency", 8)
        one.solve(body(0))
        self.room(one, 4096)
        answers = side_by_side(lambda i: one.post("/v1/trees", body(i)), range(24))
        self.assertEqual({a.status for a in answers}, {503})
        kept = re.findall(r"tree (\w{26}) is kept", str([a.error for a in answers]))
        self.assertEqual(one.status()["trees"]["running"], len(kept))  # and none is said to run
        self.room(one, resource.RLIM_INFINITY)
        wait_for(lambda: one.get("/readyz").status == 200, "it does not become ready")
        wait_for(lambda: one.status()["trees"]["running"] == 0, "trees do not end")
        self.assertEqual(len(one.all_trees()), 1 + len(kept))

    def test_it_ends_in_order_on_a_full_disk(self):
        one = self.start("--concurrency", 3)
        names = [one.submit(body(i)) for i in range(6)]
        self.room(one, 4096)
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees that began do not end", pause=0.05)
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work" in one.log(), "it does not end")
        one.process.send_signal(signal.SIGTERM)  # without the moment that trees get
        self.assertEqual(one.wait(), 0)
        again = self.start()
        self.same_texts(again.finished(names[0]), undisturbed(0))
        for name in names:
            again.finished(name)


if __name__ == "__main__":
    unittest.main()
