#!/usr/bin/env python3
"""waiting_line_daemon_test.py BANYAND [TEST…]: trees that wait for their turn."""

import json
import unittest

from daemon import body, wait_for
from daemon_case import shared_case, undisturbed


class waiting_line(shared_case):
    words = ("--concurrency", 1, "--max-queue", 8)

    def fill(self):
        """So many trees that the last one waits for a while."""
        return [self.daemon.submit(body(i)) for i in range(4)]

    def tearDown(self):
        wait_for(self.daemon.idle, "trees are still there", pause=0.05)

    def labelled(self, label):
        found = self.daemon.all_trees(f"&label=client={label}")
        return found[0] if found else None

    def leave(self, label, **more):
        """A client that waits for its tree and goes away."""
        connection = self.daemon.connect()
        connection.request("POST", "/v1/trees", json.dumps(body(5, labels={"client": label}, **more)))
        wait_for(lambda: self.labelled(label), "the tree is not there")
        connection.close()

    def test_the_tree_of_a_client_that_leaves_is_cancelled(self):
        self.fill()
        self.leave("leaves")
        tree = wait_for(lambda: self.daemon.ended(self.labelled("leaves")), "the tree lives on")
        self.assertEqual(tree["state"], "cancelled")

    def test_the_tree_of_a_client_that_asked_for_it_stays(self):
        self.fill()
        self.leave("stays", stay=True)
        tree = wait_for(lambda: self.daemon.ended(self.labelled("stays")), "the tree is not finished")
        self.same_texts(self.daemon.tree(tree["id"]), undisturbed(5))

    def test_a_full_queue_says_when_to_come_back(self):
        given = None
        for i in range(100):
            given = self.daemon.post("/v1/trees", {**body(i % 8), "wait": i % 2 == 1 and self.crowded()})
            if given.status == 429:
                break
        self.refused(given, 429, "full")
        self.assertRegex(given.headers["Retry-After"], r"^\d+$")

    def crowded(self):
        return self.daemon.status()["trees"]["queued"] >= 8

    def test_what_waits_can_be_paused_resumed_and_cancelled(self):
        *_, paused, cancelled = self.fill()
        self.assertEqual(self.daemon.post(f"/v1/trees/{cancelled}/cancel").json["state"], "cancelled")
        self.assertEqual(self.daemon.post(f"/v1/trees/{paused}/pause").json["state"], "paused")
        self.assertEqual(self.daemon.finished(cancelled)["state"], "cancelled")
        wait_for(lambda: self.daemon.status()["trees"]["running"] == 0, "a paused tree runs")
        self.assertEqual(self.daemon.tree(paused)["state"], "paused")
        now = self.daemon.status()["trees"]
        self.assertEqual((now["queued"], now["running"], now["paused"]), (0, 0, 1))
        self.daemon.post(f"/v1/trees/{paused}/resume")
        self.same_texts(self.daemon.finished(paused), undisturbed(2))


if __name__ == "__main__":
    unittest.main()
