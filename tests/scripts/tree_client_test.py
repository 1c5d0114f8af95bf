#!/usr/bin/env python3
"""tree_client_test.py BANYAN [TEST…]: a tree is shown, paused, resumed and cancelled."""

import json
import unittest

from client_case import client_case, tree


class one_tree(client_case):
    def test_threads_and_figures(self):
        self.answers["GET /v1/trees/T1"] = tree()
        lines = self.works("tree", "T1").splitlines()
        self.assertEqual(lines[0], "T1  done  25, 7, 3 -> 54")
        self.assertRegex(lines[1], r"^/ +done +12 tokens  solved$")
        self.assertRegex(lines[2], r"^  /0 +failed +7 tokens  no solution$")
        self.assertEqual(lines[3:], ["25-7=18, 18*3=54  (verified)", "  2 threads, depth 1, 1 round, 19 tokens, 19 on the critical path, 401 ms"])

    def test_texts(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.assertIn("\n==> / <==\nroot\nsays this\n\n==> /0 <==\nchild\nsays that\n", self.works("tree", "T1", "--texts"))

    def test_json(self):
        self.answers["GET /v1/trees/T1"] = tree()
        self.assertEqual(json.loads(self.works("tree", "T1", "--json")), tree())

    def test_more_threads_than_one_answer_holds(self):
        whole = tree()
        first, second = whole["threads"]

        def answer(r):
            after = dict(r.query).get("threads_after")
            if after is None:
                return {**whole, "threads": [first], "threads_next": "/"}
            self.assertEqual(after, "/")
            return {**whole, "threads": [second], "threads_next": None}
        self.answers["GET /v1/trees/T1"] = answer
        self.assertEqual(json.loads(self.works("tree", "T1", "--json")), whole)

    def test_one_thread(self):
        thread = {**tree(state="running")["threads"][1], "live": True, "cache": {"blocks": 12, "leased": True},
                  "budget_left": {"tokens": None, "rounds": 16, "seconds": 288.4}}
        self.answers["GET /v1/trees/T1/threads"] = thread
        told = self.works("tree", "T1", "--thread", "/0")
        self.assertEqual(self.daemon.seen[-1].query, [("path", "/0")])
        for part in ("/0  decoding since 2026-11-23T09:30:00.300Z\n", "cpu:0 on local", "7 tokens generated", "12 blocks, leased",
                     "16 rounds, 288 seconds", "\n\nchild\nsays that\n"):
            self.assertIn(part, told)
        self.assertEqual(json.loads(self.works("tree", "T1", "--thread", "/0", "--json")), thread)

    def test_actions(self):
        for action, state in (("cancel", "cancelled"), ("pause", "paused"), ("resume", "running")):
            self.answers[f"POST /v1/trees/T1/{action}"] = {**tree(state=state)}
            self.assertEqual(self.works(action, "T1"), f"T1 {state}\n")
            self.assertEqual(self.daemon.seen[-1].body, {})
            after = self.answers[f"POST /v1/trees/T1/{action}"]["threads"][1]["state"]
            self.assertEqual(self.works(action, "T1", "--thread", "/0"), f"T1 /0 {after}\n")
            self.assertEqual(self.daemon.seen[-1].body, {"thread": "/0"})
            self.assertEqual(json.loads(self.works(action, "T1", "--json"))["state"], state)
        self.refused(2, "cancel", "T2", says="T2")

    def test_actions_on_several_trees_do_all_that_can_be_done(self):
        self.answers["POST /v1/trees/T1/pause"] = tree(state="paused")
        self.answers["POST /v1/trees/T3/pause"] = tree("T3", "paused")
        done = self.banyan("pause", "T2", "T1", "T4", "T3")
        self.assertEqual((done.returncode, done.stdout), (2, "T1 paused\nT3 paused\n"))
        self.assertRegex(done.stderr, r"^banyan: [^\n]*T2[^\n]*\nbanyan: [^\n]*T4[^\n]*\n$")
        self.answers["POST /v1/trees/T2/pause"] = (503, {"error": {"message": "the daemon: it is about to end; ask another one"}})
        self.assertEqual(self.banyan("pause", "T2", "T1", "T4").returncode, 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
