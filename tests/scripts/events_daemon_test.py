#!/usr/bin/env python3
"""events_daemon_test.py BANYAND [TEST…]: what is told of trees while they grow."""

import time
import unittest

from daemon import body, side_by_side, tree_texts
from daemon_case import at_first, shared_case


class events(shared_case):
    def texts_of(self, name):
        return {t["path"]: t["text"].encode() for t in self.daemon.finished(name)["threads"]}

    def test_events_put_together_are_the_final_texts(self):
        names = [self.daemon.submit(body(i)) for i in range(6)]
        watched = side_by_side(lambda n: tree_texts().read(self.daemon.stream(f"/v1/trees/{n}/events")), names, 6)
        for name, seen in zip(names, watched):
            self.assertEqual(seen.texts, self.texts_of(name))
            tree = self.daemon.tree(name)
            self.assertEqual((seen.done["state"], seen.done["failure"]), (tree["state"], tree["failure"]))
            self.assertEqual(seen.done["outcome"], tree["outcome"])
            self.assertEqual(seen.states, {t["path"]: t["state"] for t in tree["threads"]})

    def test_one_who_comes_late_knows_as_much(self):
        for number in range(6):
            name = self.daemon.submit(body(number))
            time.sleep(0.04 * number)  # whatever the tree does then
            seen = tree_texts().read(self.daemon.stream(f"/v1/trees/{name}/events"))
            self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_finished_tree_is_told_at_once(self):
        name = self.daemon.solve(body(0))["id"]
        seen = tree_texts().read(self.daemon.stream(f"/v1/trees/{name}/events"))
        self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_stream_goes_on_where_it_was_broken_off(self):
        for number, until in [(0, 1), (0, 4), (1, 12), (2, 25)]:
            name = self.daemon.submit(body(number))
            seen, last = tree_texts(), None
            while not seen.done:
                watched = self.daemon.stream(f"/v1/trees/{name}/events", last=last)
                count = 0
                for e in watched:
                    seen.take(e)
                    count += bool(e.id)
                    if count >= until:
                        break
                last = watched.last
                watched.close()
            self.assertEqual(seen.texts, self.texts_of(name))

    def test_a_finished_tree_is_told_with_all_kinds_of_events(self):
        tree = self.daemon.solve(body(0))
        told_here = list(self.daemon.stream(f"/v1/trees/{tree['id']}/events"))
        self.assertEqual({e.name for e in told_here}, {"tree", "thread", "spawn", "text", "join", "done"})
        self.assertEqual(tree_texts().read(told_here).texts, self.texts_of(tree["id"]))
        known = set()
        for e in told_here[1:-1]:
            self.assertTrue(e.data["parent"] is None or e.data["parent"] in known, e)
            known.add(e.data["thread"])
        self.assertEqual(known, {t["path"] for t in tree["threads"]})
        self.assertEqual(len({e.id for e in told_here}), len(told_here))
        for seen in (0, 1, len(told_here) // 2, len(told_here) - 1):
            rest = self.daemon.stream(f"/v1/trees/{tree['id']}/events", last=told_here[seen].id)
            self.assertEqual([(e.name, e.id, e.data) for e in rest], [(e.name, e.id, e.data) for e in told_here[seen + 1:]])

    def test_who_comes_back_hears_the_same_events_and_none_twice(self):
        for number in range(3):
            name = self.daemon.submit(body(number))
            whole = self.daemon.stream(f"/v1/trees/{name}/events")
            parts, last, over = [], None, False
            while not over:
                part = self.daemon.stream(f"/v1/trees/{name}/events", last=last)
                for e in at_first(part, "text", 7):
                    parts.append(e)
                    over = e.name == "done"
                last = part.last
                part.close()
            self.assertNotIn(None, [e.id for e in parts])
            ids = [e.id for e in parts]
            self.assertEqual(len(ids), len(set(ids)))
            live = [e for e in parts if "." not in e.id]
            numbers = [int(e.id.rsplit("-", 1)[1]) for e in live]
            self.assertEqual(numbers, sorted(numbers))
            heard = {e.id: (e.name, e.data) for e in whole}
            self.assertEqual({e.id: (e.name, e.data) for e in live}, {e.id: heard[e.id] for e in live})
            self.assertEqual(tree_texts().read(parts).texts, self.texts_of(name))

    def test_all_trees_are_told_of_without_texts(self):
        watched = self.daemon.stream("/v1/events")
        names = {self.daemon.submit(body(i)) for i in range(4)}
        missing, seen = set(names), []
        for e in watched:
            seen.append(e)
            if e.name == "done":
                missing.discard(e.data["tree"])
            if not missing:
                break
        watched.close()
        self.assertEqual({e.name for e in seen}, {"tree", "thread", "spawn", "join", "done"})
        for name in names:
            states = [e.data["state"] for e in seen if e.name == "tree" and e.data["tree"] == name]
            self.assertEqual(states, ["queued", "running"])
            tree = self.daemon.tree(name)
            heard = {}
            for e in seen:
                if e.data["tree"] == name and e.name == "thread":
                    heard.setdefault(e.data["thread"], []).append({"state": e.data["state"], "at": e.data["at"]})
            self.assertEqual(heard, {t["path"]: t["history"] for t in tree["threads"]})
            done = next(e for e in seen if e.name == "done" and e.data["tree"] == name)
            self.assertEqual(done.data["at"], tree["finished"])

    def test_there_are_no_events_of_no_tree(self):
        self.refused(self.daemon.get("/v1/trees/none/events"), 404, "not_found")


if __name__ == "__main__":
    unittest.main()
