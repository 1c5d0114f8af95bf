#!/usr/bin/env python3
"""ps_client_test.py BANYAN [TEST…]: the list of trees."""

import json
import unittest

from client_case import client_case, lists, tree


class listing(client_case):
    def at(self, id, state, minute, **more):
        return tree(id, state, created=f"2026-11-23T09:{minute:02}:00.000Z", **more)

    def ids(self, *words):
        return [line.split()[0] for line in self.works("ps", *words).splitlines()[1:]]

    def setUp(self):
        super().setUp()
        self.answers["GET /v1/trees"] = lists(
            self.at("R1", "running", 1), self.at("D2", "done", 2, labels={"run": "a", "user": "b"}),
            self.at("F3", "failed", 3, solved=False, failure="deadline"), self.at("Q4", "queued", 4), self.at("P5", "paused", 5),
            self.at("D6", "done", 6), self.at("C7", "cancelled", 7, solved=False), page=2)

    def test_live_trees_come_first_then_the_newest(self):
        self.assertEqual(self.ids(), ["R1", "P5", "Q4", "C7", "D6", "F3", "D2"])
        self.assertEqual(self.ids("--state", "done"), ["D6", "D2"])
        self.assertEqual(self.ids("--state", "failed", "--state", "done"), ["D6", "F3", "D2"])
        self.assertEqual(self.ids("--state", "queued,done,running"), ["R1", "Q4", "D6", "D2"])
        self.refused(2, "ps", "--state", "running,", says="running,")

    def test_no_more_than_asked_for(self):
        done = self.banyan("ps", "--limit", 2)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()[1:]], ["R1", "P5", "C7", "D6"])
        self.assertIn("--all", done.stderr)
        self.assertEqual(self.banyan("ps", "--limit", 3, "--state", "running,queued,paused").stderr, "")  # just as many as there are
        self.assertEqual(self.banyan("ps", "--limit", 2, "--quiet").stderr, "")

    def test_all_pages(self):
        self.answers["GET /v1/trees"] = lists(*(self.at(f"D{i:03}", "done", i % 60) for i in range(250)))
        self.assertEqual(len(set(self.ids("--all"))), 250)
        lines = self.works("ps", "--all", "--json").splitlines()
        self.assertEqual(len({json.loads(line)["id"] for line in lines}), 250)

    def test_the_table(self):
        lines = self.works("ps").splitlines()
        self.assertEqual(lines[0].split(), ["ID", "STATE", "PROBLEM", "THREADS", "TOKENS", "TIME", "SOLVED", "LABELS"])
        row = {line.split()[0]: line for line in lines[1:]}
        self.assertRegex(row["D2"], r"^D2 +done +25, 7, 3 -> 54 +2 +19 +40[01] ms +yes +run=a,user=b$")
        self.assertRegex(row["F3"], r"no: deadline$")
        self.assertRegex(row["R1"], r" 1:47 +-$")
        self.assertRegex(row["Q4"], r" 19 +- +-$")

    def test_json_is_passed_through(self):
        lines = [json.loads(line) for line in self.works("ps", "--json", "--state", "done").splitlines()]
        self.assertEqual([line["seed"] for line in lines], [18446744073709551615] * 2)
        self.assertEqual(list(lines[0]), list(tree()))

    def test_filters_are_sent(self):
        self.ids("--state", "done", "--label", "run=a&b", "--label", "x=y=z", "--solved")
        query = self.daemon.seen[-1].query
        for field in (("state", "done"), ("label", "run=a&b"), ("label", "x=y=z"), ("solved", "true")):
            self.assertIn(field, query)
        self.ids("--solved=false")
        self.assertIn(("solved", "false"), self.daemon.seen[-1].query)


if __name__ == "__main__":
    unittest.main(verbosity=2)
