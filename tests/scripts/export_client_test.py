#!/usr/bin/env python3
"""export_client_test.py BANYAN [TEST…]: trees are exported."""

import collections
import json
import unittest

from client_case import client_case, lists, tree


class exporting(client_case):
    def setUp(self):
        super().setUp()
        trees = [tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(5)]
        self.answers["GET /v1/trees"] = lists(*trees, page=2)
        for t in trees:
            self.answers[f"GET /v1/trees/{t['id']}"] = t

    def test_json_lines_oldest_first(self):
        done = self.banyan("export", "--quiet")
        trees = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([t["id"] for t in trees], ["T0", "T1", "T2", "T3", "T4"])
        self.assertEqual(trees[0]["threads"][0]["text"], "root\nsays this\n")
        self.assertEqual(self.banyan("export", "--quiet", "--out", "-").stdout, done.stdout)

    def test_progress_is_told_as_the_end_is(self):
        trees = [tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(50)]
        self.answers["GET /v1/trees"] = lists(*trees)
        for t in trees:
            self.answers[f"GET /v1/trees/{t['id']}"] = t
        self.assertEqual(self.banyan("export").stderr, 2 * "banyan: wrote 50 trees\n")

    def test_some_trees(self):
        out = self.works("export", "T3", "T1", "--quiet")
        self.assertEqual([json.loads(line)["id"] for line in out.splitlines()], ["T3", "T1"])
        self.refused(2, "export", "T9", "--quiet", says="T9")
        twice = self.works("export", "T3", "T1", "T3", "--quiet")
        self.assertEqual(twice, out)
        for words in (["--state", "done"], ["--label", "a=b"], ["--solved"], ["--since", "2h"]):
            self.refused(2, "export", "T3", *words, says=words[0])

    def test_times_are_sent(self):
        self.works("export", "--quiet", "--since", "2026-11-23T09:30:00Z", "--until", "2026-11-24", "--label", "a=b", "--state", "done")
        query = dict(self.daemon.asked("/v1/trees")[-1].query)
        self.assertEqual((query["created_after"], query["created_before"]), ("2026-11-23T09:29:59.999Z", "2026-11-24T00:00:00.000Z"))
        self.assertEqual((query["label"], query["state"]), ("a=b", "done"))

    def test_a_trace(self):
        out = self.folder / "trace.json"
        self.works("export", "--quiet", "--out", out)
        events = json.loads(out.read_text())["traceEvents"]
        self.assertEqual({e["pid"] for e in events}, {1, 2, 3, 4, 5})
        self.assertEqual(sorted({e["name"] for e in events if e["ph"] == "X"}), ["/", "/0", "decoding", "waiting"])
        self.assertEqual(json.loads(self.works("export", "--quiet", "--format", "chrome"))["traceEvents"], events)

    def test_a_file_is_whole_or_not_there(self):
        self.answers["GET /v1/trees/T4"] = 503, {"error": {"code": "unavailable", "message": "T4: the store is busy; try again"}}
        for name in ("a.jsonl", "a.json"):
            self.refused(3, "export", "--quiet", "--out", self.folder / name, says="T4")
        self.assertEqual(list(self.folder.iterdir()), [])
        self.refused(3, "export", "--out", self.folder / "nowhere" / "a.jsonl", says="nowhere")

    def test_a_tree_that_was_dropped_since_the_list_is_left_out(self):
        del self.answers["GET /v1/trees/T0"]
        self.assertEqual([json.loads(line)["id"] for line in self.works("export", "--quiet").splitlines()], ["T1", "T2", "T3", "T4"])
        self.refused(2, "export", "T0", "--quiet", says="T0")  # asked for by name

    def test_requests_that_are_rationed_take_their_time(self):
        tries = collections.Counter()

        def rationed(answer):
            def every_second(r):
                tries[r.path] += 1
                if tries[r.path] % 2:
                    return 429, {"error": {"code": "too_many_requests", "message": "127.0.0.1: too many requests; ask more slowly"}}, {"Retry-After": "0.01"}
                return answer(r) if callable(answer) else answer
            return every_second
        for name, answer in list(self.answers.items()):
            self.answers[name] = rationed(answer)
        self.assertEqual(len(self.works("export", "--quiet").splitlines()), 5)
        self.assertEqual(tries["/v1/trees/T0"], 2)

    def test_a_damaged_tree_is_named_and_left_out(self):
        def damaged(name):
            return 500, {"error": {"code": "damaged_tree", "message": f"d/trees.db: tree {name}: not a tree; do without it"}}

        listed = lists(*[tree(f"T{i}", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(5)], page=2)
        self.answers["GET /v1/trees"] = lambda r: {**listed(r), "damaged": ["T9"]}
        self.answers["GET /v1/trees/T9"], self.answers["GET /v1/trees/T2"] = damaged("T9"), damaged("T2")
        for words in ([], ["T0", "T9", "T1", "T2", "T3", "T4"]):
            done = self.banyan("export", "--quiet", *words)
            self.assertEqual(done.returncode, 3)
            self.assertEqual([json.loads(line)["id"] for line in done.stdout.splitlines()], ["T0", "T1", "T3", "T4"])
            self.assertEqual(sorted(done.stderr.splitlines()),
                             [f"banyan: d/trees.db: tree {name}: not a tree; do without it" for name in ("T2", "T9")])
        out = self.folder / "trees.jsonl"
        self.assertEqual(self.banyan("export", "--out", out).returncode, 3)
        self.assertEqual(len(out.read_text().splitlines()), 4)
        shown = self.banyan("ps")
        self.assertEqual(shown.returncode, 0)
        self.assertRegex(shown.stderr, "T9: .*; `banyan tree T9` says why")

    def test_a_store_that_is_not_there(self):
        done = self.banyan("export", "--store", self.folder / "trees.db")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("trees.db", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_store_is_not_replaced_by_its_export(self):
        store = self.folder / "trees.db"
        store.write_bytes(b"trees")
        self.refused(2, "export", "--store", store, "--out", f"{self.folder}/./trees.db", says="--out")
        self.assertEqual(store.read_bytes(), b"trees")


if __name__ == "__main__":
    unittest.main(verbosity=2)
