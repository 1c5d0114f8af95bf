#!/usr/bin/env python3
"""trees_daemon_test.py BANYAND [TEST…]: trees of a real daemon with a real model."""

import unittest

from daemon import body, problem, side_by_side
from daemon_case import shared_case, undisturbed

TREE_ID = r"^[0-9A-HJKMNP-TV-Z]{26}$"


class trees(shared_case):
    def test_a_client_that_waits_gets_the_tree(self):
        tree = self.daemon.solve({"problem": {"numbers": [3, 5, 7], "target": 22}, "labels": {"run": "waits"}})
        self.assertRegex(tree["id"], TREE_ID)
        self.assertEqual(tree["state"], "done")
        self.assertTrue(tree["outcome"]["solved"])
        self.assertEqual(tree["labels"], {"run": "waits"})
        self.assertEqual(tree["usage"]["generated_tokens"], sum(t["generated_tokens"] for t in tree["threads"]))
        self.assertEqual(self.daemon.tree(tree["id"]), tree)

    def test_a_client_that_does_not_wait_gets_its_name(self):
        given = self.daemon.post("/v1/trees", {**body(1), "wait": False})
        self.assertEqual(given.status, 202)
        name = given.json["id"]
        self.assertEqual(given.headers["Location"], f"/v1/trees/{name}")
        self.same_texts(self.daemon.finished(name), undisturbed(1))

    def test_a_tree_does_not_depend_on_who_else_is_there(self):
        for number, tree in enumerate(side_by_side(self.daemon.solve, map(body, range(8)), 8)):
            if number < 3:
                self.same_texts(tree, undisturbed(number))

    def test_a_tree_grows_from_its_prompt_as_from_its_problem(self):
        first = self.daemon.solve(body(3))
        again = self.daemon.solve({"prompt": first["prompt"], "sampling": body(3)["sampling"]})
        self.same_texts(again, first)

    def test_lists_can_be_searched_and_paged(self):
        names = [self.daemon.solve(body(i, labels={"of": "lists", "parity": "odd" if i % 2 else "even"}))["id"]
                 for i in range(7)]
        listed = self.daemon.all_trees("&label=of=lists")
        self.assertEqual([t["id"] for t in listed], names[::-1])
        self.assertTrue(all("text" not in thread for t in listed for thread in t["threads"]))
        odd = self.daemon.all_trees("&label=of=lists&label=parity=odd")
        self.assertEqual([t["id"] for t in odd], names[1::2][::-1])
        for query, holds in [("state=done", lambda t: t["state"] == "done"),
                             ("state=failed", lambda t: t["state"] == "failed"),
                             ("state=done,failed", lambda t: True),
                             ("state=running,queued,paused", lambda t: False),
                             ("solved=true", lambda t: t["outcome"]["solved"]),
                             ("solved=false", lambda t: not t["outcome"]["solved"])]:
            found = self.daemon.all_trees(f"&label=of=lists&{query}")
            self.assertEqual([t["id"] for t in found], [t["id"] for t in listed if holds(t)], query)
        after, pages = "", []
        while after is not None:
            page = self.daemon.get(f"/v1/trees?label=of=lists&limit=3{after and '&after=' + after}").json
            pages.append([t["id"] for t in page["trees"]])
            after = page["next"]
        self.assertEqual(pages, [names[:3:-1], names[3:0:-1], names[:1]])

    def test_threads_one_by_one(self):
        tree = self.daemon.solve(body(0))
        for thread in tree["threads"][:3]:
            one = self.daemon.get(f"/v1/trees/{tree['id']}/threads?path={thread['path']}").json
            self.assertFalse(one["live"])
            self.assertEqual(one["text"], thread["text"])
        given = self.daemon.get(f"/v1/trees/{tree['id']}/threads?path=/99")
        self.refused(given, 404, "not_found")

    def test_failures_have_their_names(self):
        for more, failure in [({"budget": {"deadline_s": 0.001}}, "deadline"),
                              ({"budget": {"max_tokens": 5}}, "budget_spent"),
                              ({"budget": {"max_tree_tokens": 30}}, "budget_spent")]:
            with self.subTest(more=more):
                tree = self.daemon.solve(body(0, **more))
                self.assertEqual((tree["state"], tree["failure"]), ("failed", failure))
                self.assertFalse(tree["outcome"]["solved"])
        few = self.daemon.solve(body(0, budget={"max_threads": 2}))
        self.assertIn("budget_spent", [t["failure"] for t in few["threads"]])
        self.assertEqual(self.daemon.status()["failures"]["deadline"], 1)

    def test_what_makes_no_sense(self):
        for wish, field in [({"problem": {"numbers": [1, 2], "target": 3}}, "problem"),
                            ({"problem": {"numbers": [1, 2, 3], "target": 5000}}, "problem"),
                            ({"problem": {"numbers": [1, 2, 3]}}, "problem.target"),
                            ({"problem": problem(0), "sampling": {"temperature": -1}}, "sampling.temperature"),
                            ({"problem": problem(0), "join": "some"}, "join"),
                            ({"problem": problem(0), "color": "red"}, "color")]:
            with self.subTest(wish=wish):
                self.assertEqual(self.refused(self.daemon.post("/v1/trees", wish), 400, "bad_request").error["field"], field)
        self.refused(self.daemon.get("/v1/trees/01M84CSKDA0VYPFZ62RVZEM7RT"), 404, "not_found")
        self.refused(self.daemon.post("/v1/trees/none/cancel"), 404, "not_found")

    def test_errors_name_what_was_given(self):
        self.says(self.daemon.get("/v1/trees/none"), 404, "none: there is no such tree; `banyan ps --all` lists them")
        name = self.daemon.solve(body(0))["id"]
        self.says(self.daemon.post(f"/v1/trees/{name}/pause"), 409, f"{name}: it has ended; there is nothing to do")
        self.says(self.daemon.get(f"/v1/trees/{name}/threads?path=/9/9"), 404, "/9/9: the tree has no such thread; look at the tree")
        self.says(self.daemon.get(f"/v1/trees/{name}/threads?path=9"), 400, "9: it is not a thread's path; write it as /0/3")

    def test_nothing_can_be_done_with_a_finished_tree(self):
        name = self.daemon.solve(body(0))["id"]
        for action in ("cancel", "pause", "resume"):
            self.refused(self.daemon.post(f"/v1/trees/{name}/{action}"), 409, "conflict")


if __name__ == "__main__":
    unittest.main()
