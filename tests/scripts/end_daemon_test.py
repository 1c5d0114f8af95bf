#!/usr/bin/env python3
"""end_daemon_test.py BANYAND [TEST…]: a real daemon's end, and what goes on after the next start."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from daemon import ENDED, PATIENCE, body, wait_for
from daemon_case import at_first, daemon_case, undisturbed, waiting_clients


def states_of(one, name):
    """Of the tree's threads that have not ended."""
    return {t["state"] for t in one.tree(name)["threads"]} - {*ENDED}


class ending(daemon_case):
    def test_what_was_cut_off_goes_on_after_a_restart(self):
        numbers = range(8)
        one = self.start("--drain", 0, "--concurrency", 5)
        names = [one.submit(body(i)) for i in numbers]
        with contextlib.closing(one.stream(f"/v1/trees/{names[0]}/events")) as watched:
            at_first(watched, "spawn")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())
        again = self.start()
        for number, name in zip(numbers, names):
            self.same_texts(again.finished(name), undisturbed(number))
        self.assertEqual(sorted(t["id"] for t in again.all_trees()), sorted(names))

    def test_one_that_cannot_begin_leaves_what_is_unfinished_as_it_is(self):
        numbers = range(8)
        one = self.start("--concurrency", 2)
        names = [one.submit(body(i)) for i in numbers]
        one.kill()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            words = [address if word == "127.0.0.1:0" else word for word in one.command]
            failed = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(failed.returncode, 3, failed.stderr)
        self.assertIn(f"{address}: cannot listen", failed.stderr)
        again = self.start()
        for number, name in zip(numbers, names):
            self.same_texts(again.finished(name), undisturbed(number))

    def test_it_waits_for_trees_as_long_as_it_was_told(self):
        one = self.start("--drain", 60)
        names = [one.submit(body(i)) for i in range(3)]
        self.assertEqual(one.stop(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        self.assertEqual({again.tree(n)["state"] for n in names} - {*ENDED}, set())

    def test_a_wait_that_no_clock_counts_is_a_long_one(self):
        one = self.start("--drain", "1e300", "--concurrency", 40)
        names = [one.submit(body(i)) for i in range(40)]
        self.assertEqual(one.stop(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        self.assertEqual({again.tree(n)["state"] for n in names} - {*ENDED}, set())

    def test_clients_that_wait_are_told_that_it_ends(self):
        one = self.start("--drain", 0, "--concurrency", 2)
        given = []
        clients = [threading.Thread(target=lambda i=i: given.append(one.post("/v1/trees", body(i)))) for i in range(12)]
        for client in clients:
            client.start()
        wait_for(lambda: one.status()["trees"]["accepted"] == 12, "not all are there")
        watched = one.stream("/v1/events")
        self.assertEqual(one.stop(), 0)
        list(watched)  # the stream has an end
        for client in clients:
            client.join()
        statuses = [g.status for g in given]
        self.assertEqual(len(statuses), 12)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertGreater(statuses.count(503), 5)
        for g in given:
            if g.status == 503:
                self.refused(g, 503, "unavailable")
                self.assertRegex(g.headers["Retry-After"], r"^\d+$")

    def test_completions_do_not_hold_it_up_and_are_told(self):
        one = self.start("--drain", 0)
        wish = {"prompt": "Moving to Node #0\n", "max_tokens": 2000, "temperature": 2, "stream": True, "n": 8}
        streams = [one.stream("/v1/completions", {**wish, "seed": i}) for i in range(8)]
        next(iter(streams[0]))  # they are decoded
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        for watched in streams:
            list(watched)  # each has an end
        self.assertNotIn("in time", one.log())

    def test_a_paused_tree_does_not_hold_it_up_and_is_paused_after_a_restart(self):
        one = self.start("--drain", 60)
        name = one.submit(body(0))
        self.assertEqual(one.post(f"/v1/trees/{name}/pause").status, 200)
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        again = self.start()
        self.assertEqual(again.tree(name)["state"], "paused")
        self.assertEqual(again.post(f"/v1/trees/{name}/resume").status, 200)
        self.same_texts(again.finished(name), undisturbed(0))

    def test_trees_that_wait_do_not_begin_any_more(self):
        one = self.start("--drain", 60, "--concurrency", 1)
        names = [one.submit(body(i)) for i in range(60)]
        self.assertEqual(one.stop(), 0)
        end = one.log().split("no more work is taken")[1]
        self.assertLessEqual(len(re.findall(r" tokens, \d+ threads", end)), 2)  # the one that ran, and one that just ended
        kept = int(re.search(r"(\d+) unfinished trees are kept", end)[1])
        self.assertGreater(kept, 20)
        again = self.start("--concurrency", 60)
        self.assertIn(f"{kept} unfinished trees are taken up", again.log())
        for name in names:
            again.finished(name)

    def test_a_tree_that_cannot_go_on_does_not_hold_it_up(self):
        one = self.start("--drain", 60, "--concurrency", 60)
        names = [one.submit({**body(i), "sampling": {"temperature": 1, "seed": i}}) for i in range(60)]
        wait_for(lambda: one.status()["threads"]["waiting"] > 5, "no tree spawns", pause=0.005)
        paused = []
        for name in reversed(names):
            for thread in one.tree(name)["threads"][1:]:
                if one.post(f"/v1/trees/{name}/pause", {"thread": thread["path"]}).status == 200:
                    paused.append(name)
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees do not end")
        stuck = [name for name in sorted({*paused}) if states_of(one, name) == {"waiting", "paused"}]
        self.assertGreater(len(stuck), 0)
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn(f"{len(stuck)} unfinished trees are kept", one.log())
        again = self.start()
        self.assertEqual(states_of(again, stuck[0]) & {"paused"}, {"paused"})
        for name in stuck:
            self.assertEqual(again.post(f"/v1/trees/{name}/resume").status, 200)
            again.finished(name)

    def test_trees_that_wait_after_a_restart_look_alike_from_everywhere(self):
        one = self.start("--concurrency", 24)
        names = [one.submit(body(i)) for i in range(24)]
        paused = [name for name in names if one.post(f"/v1/trees/{name}/pause").status == 200]
        one.kill()
        again = self.start("--concurrency", 1)
        self.assertGreater(len(paused), 4)
        lists = {tree["id"]: tree for tree in again.all_trees("&state=paused")}
        self.assertEqual(set(lists), set(paused))
        for name in paused:
            tree = again.tree(name)
            self.assertEqual(tree["usage"], lists[name]["usage"])
            self.assertEqual([t["path"] for t in tree["threads"]], [t["path"] for t in lists[name]["threads"]])
            self.assertEqual([t["state"] for t in tree["threads"]], [t["state"] for t in lists[name]["threads"]])
        for name in paused:  # all but one of them wait for their turn
            self.assertIn(again.post(f"/v1/trees/{name}/resume").json["state"], ("queued", "running"))
        for name in names:
            again.finished(name)

    def test_a_wish_to_read_the_config_does_not_cut_the_waiting_off(self):
        one = self.start("--drain", 600, "--concurrency", 20)
        names = [one.submit(body(i)) for i in range(20)]
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work is taken" in one.log(), "it does not end")
        for _ in range(3):
            one.process.send_signal(signal.SIGHUP)
        self.assertEqual(one.wait(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        for name in names:
            self.assertIsNotNone(again.tree(name)["finished"])

    def test_who_waits_for_a_tree_hears_its_name_and_only_trees_are_counted_as_kept(self):
        one = self.start("--drain", 0, "--concurrency", 1)
        for i in range(3):
            one.submit({**body(i), "sampling": {"temperature": 1, "seed": i}})
        told, completed = [], []
        waiting = threading.Thread(target=lambda: told.append(one.post("/v1/trees", body(5))))
        writing = threading.Thread(target=lambda: completed.append(
            one.post("/v1/completions", {"prompt": "Moving to Node #0\n", "max_tokens": 2000, "n": 100})))
        waiting.start()
        wait_for(lambda: one.status()["trees"]["accepted"] == 4, "the tree is not taken")
        writing.start()
        wait_for(lambda: sum(p["running"] + p["queued"] for p in one.get("/v1/pools").json["pools"]) > 50, "nothing is completed")
        unfinished = one.status()["store"]["unfinished"]
        self.assertEqual(one.stop(), 0)
        waiting.join(), writing.join()
        kept = re.search(r"(\d+) unfinished trees are kept", one.log())
        self.assertLessEqual(int(kept[1]), unfinished)
        message = self.refused(told[0], 503, "unavailable").error["message"]
        name = re.search(r"tree (\w{26}) is kept", message)[1]
        self.same_texts(self.start().finished(name), undisturbed(5))

    def test_who_waits_for_trees_that_run_hears_their_names(self):
        one = self.start("--drain", 0, "--concurrency", 64)
        told = waiting_clients(one, 40)
        self.assertEqual(one.stop(), 0)
        answers = told()
        solved = [a for a in answers if a.status == 200]
        names = re.findall(r"tree (\w{26}) is kept and goes on", str([a.error for a in answers if a.status == 503]))
        self.assertGreater(len(names), 5)
        again = self.start()
        for name in names:
            again.finished(name)
        self.assertEqual(again.status()["store"]["finished"], len(solved) + len(names))

    def test_a_second_signal_ends_the_waiting(self):
        one = self.start("--drain", 600, "--concurrency", 200)
        for i in range(200):
            one.submit(body(i))
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work is taken" in one.log(), "it does not end")
        self.refused(one.post("/v1/trees", {**body(0), "wait": False}), 503, "unavailable")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())


if __name__ == "__main__":
    unittest.main()
