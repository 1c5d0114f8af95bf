#!/usr/bin/env python3
"""steering_daemon_test.py BANYAND [TEST…]: trees and their parts are paused, resumed and cancelled."""

import contextlib
import time
import unittest

from daemon import ENDED, body, tree_texts, wait_for
from daemon_case import at_first, shared_case, undisturbed


class steering(shared_case):
    def caught(self, number, event_name, act, **more):
        """A tree on which `act` succeeded right after its first event of that name. A tree that was quicker does not
        count."""
        for _ in range(20):
            name = self.daemon.submit(body(number, **more))
            with contextlib.closing(self.daemon.stream(f"/v1/trees/{name}/events")) as watched:
                at_first(watched, event_name, 2 if event_name == "text" else 1)
                given = act(name)
            if given.status == 200:
                return name
            self.refused(given, 409, "conflict")
        self.fail("every tree was over before anything could be done")

    def act(self, action, thread="/"):
        return lambda name: self.daemon.post(f"/v1/trees/{name}/{action}", {"thread": thread})

    def at_rest(self):
        """Nobody decodes; tokens sampled until then."""
        wait_for(lambda: self.daemon.status()["threads"]["decoding"] == 0, "somebody decodes")
        return self.daemon.status()["pools"][0]["generated_tokens"]

    def test_a_paused_tree_stands_still_and_goes_on_as_if_nothing_had_been(self):
        for number, moment in [(0, "text"), (1, "spawn"), (2, "thread")]:
            with self.subTest(moment=moment):
                name = self.caught(number, moment, self.act("pause"))
                tokens = self.at_rest()
                time.sleep(0.2)
                self.assertEqual(self.at_rest(), tokens)
                paused = self.daemon.tree(name)
                self.assertEqual(paused["state"], "paused")
                self.assertGreater(paused["usage"]["wall_ms"], 0)
                self.assertEqual({t["state"] for t in paused["threads"]} - {*ENDED}, {"paused"})
                self.assertEqual([t["id"] for t in self.daemon.all_trees("&state=paused")], [name])
                self.assertEqual(self.daemon.post(f"/v1/trees/{name}/resume").json["state"], "running")
                self.same_texts(self.daemon.finished(name), undisturbed(number))

    def test_pause_and_resume_can_be_asked_for_twice(self):
        name = self.caught(0, "text", self.act("pause"))
        for action, state in [("pause", "paused"), ("resume", "running")]:
            self.assertEqual(self.daemon.post(f"/v1/trees/{name}/{action}").json["state"], state)
        self.daemon.post(f"/v1/trees/{name}/resume")
        self.same_texts(self.daemon.finished(name), undisturbed(0))

    def test_pauses_are_told(self):
        name = self.caught(0, "text", self.act("pause"))
        watched = iter(self.daemon.stream(f"/v1/trees/{name}/events"))
        seen = at_first(watched, "text")
        self.daemon.post(f"/v1/trees/{name}/resume")
        seen += watched
        states = [e.data["state"] for e in seen if e.name == "tree"]
        self.assertEqual(states, ["paused", "running"])
        texts = tree_texts().read(seen).texts
        self.assertEqual(texts, {t["path"]: t["text"].encode() for t in self.daemon.finished(name)["threads"]})

    def test_a_part_is_paused_and_the_rest_goes_on(self):
        name = self.caught(0, "spawn", self.act("pause", "/0"))
        wait_for(lambda: self.daemon.status()["threads"]["decoding"] == 0, "the others have not ended")
        states = {t["path"]: t["state"] for t in self.daemon.tree(name)["threads"]}
        self.assertEqual((states.pop("/"), states.pop("/0")), ("waiting", "paused"))
        self.assertLessEqual(set(states.values()), set(ENDED))
        ended, *_ = states
        self.says(self.daemon.post(f"/v1/trees/{name}/cancel", {"thread": ended}), 409, f"{ended}: it has ended; there is nothing to do")
        self.says(self.daemon.post(f"/v1/trees/{name}/cancel", {"thread": "/99"}), 404,
                  "/99: the tree has no such thread; `banyan tree ID` lists its threads")
        self.assertEqual(self.daemon.post(f"/v1/trees/{name}/resume", {"thread": "/0"}).status, 200)
        self.same_texts(self.daemon.finished(name), undisturbed(0))

    def test_a_cancelled_tree_ends_with_what_it_has(self):
        name = self.caught(0, "spawn", self.act("cancel"))
        tree = self.daemon.finished(name)
        self.assertEqual((tree["state"], tree["failure"]), ("cancelled", "cancelled"))
        self.assertGreater(tree["usage"]["generated_tokens"], 0)
        whole = {t["path"]: t["text"] for t in undisturbed(0)["threads"]}
        for thread in tree["threads"]:
            if thread["path"] != "/":
                self.assertTrue(whole[thread["path"]].startswith(thread["text"]))

    def test_a_cancelled_part_is_lost_and_the_rest_goes_on(self):
        name = self.caught(0, "spawn", self.act("cancel", "/0"))
        tree = self.daemon.finished(name)
        cut, *_ = (t for t in tree["threads"] if t["path"] == "/0")
        self.assertEqual((cut["state"], cut["failure"]), ("cancelled", "cancelled"))
        self.assertNotEqual(tree["state"], "cancelled")
        whole = {t["path"]: told_thread(t) for t in undisturbed(0)["threads"]}
        for thread in tree["threads"]:
            if thread["path"] not in ("/", "/0"):
                self.assertEqual(told_thread(thread), whole[thread["path"]])

    def test_a_paused_tree_can_be_cancelled(self):
        name = self.caught(0, "text", self.act("pause"))
        self.assertEqual(self.daemon.post(f"/v1/trees/{name}/cancel").status, 200)
        self.assertEqual(self.daemon.finished(name)["state"], "cancelled")


def told_thread(thread):
    return thread["state"], thread["failure"], thread["text"]


if __name__ == "__main__":
    unittest.main()
