#!/usr/bin/env python3
"""follow_client_test.py BANYAN [TEST…]: a tree is followed by its events."""

import json
import os
import signal
import subprocess
import threading
import unittest

from client_case import BANYAN, ENDS, GROWS, client_case, daemon_at, event, lists, stream, tree
from daemon import PATIENCE


class following(client_case):
    def setUp(self):
        super().setUp()
        self.answers["GET /v1/trees/T1"] = tree()
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, *ENDS)

    def told(self, *words, code=0):
        return [line.removeprefix("2026-11-23T09:30:00.100Z ") for line in
                self.works("tree", "T1", "--follow", *words, code=code).splitlines()]

    def test_output_that_cannot_be_written(self):
        words = [BANYAN, "tree", "T1", "--follow", "--url", self.daemon.url]
        with open("/dev/full", "w") as full:
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (3, "banyan: standard output: No space left on device; make room or write elsewhere\n"))
        self.answers["GET /v1/trees"] = lists(tree())
        done = subprocess.run([BANYAN, "ps", "--url", self.daemon.url], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (3, "banyan: standard output: Bad file descriptor; make room or write elsewhere\n"))

    def test_a_line_for_each_event(self):
        self.assertEqual(self.told(), ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined",
                                       "/ done, 12 tokens", "tree done, solved"])
        self.assertIn('/ wrote "root\\n"', self.told("--texts"))

    def test_a_finished_tree_is_told_in_the_order_of_time(self):
        def at(second):
            return {"at": f"2026-11-23T09:30:0{second}.000Z"}
        child = {"thread": "/0", "parent": "/"}
        self.answers["GET /v1/trees/T1/events"] = stream(
            ("tree", {"state": "done", **at(9)}, 0), ("thread", {"state": "done", "tokens": 12, "failure": None, **at(9)}, 1),
            ("text", {"text": "root\n", **at(1)}, 2), ("spawn", {"children": ["/0", "/1"], "text": "<spawn>", **at(1)}, 3),
            ("thread", {**child, "state": "done", "tokens": 7, "failure": None, **at(5)}, 4), ("text", {**child, "text": "late", **at(5)}, 5),
            ("thread", {**child, "thread": "/1", "state": "failed", "tokens": 3, "failure": "no_solution", **at(3)}, 6),
            ("join", {"text": "<joined>", **at(5)}, 7), ("text", {"text": "end", **at(9)}, 8),
            ("done", {"state": "done", "failure": None, "outcome": {"solved": True}, **at(9)}, 9))
        told = [line.split(" ", 1)[1] for line in self.works("tree", "T1", "--follow", "--texts").splitlines()]
        self.assertEqual(told, ['/ wrote "root\\n"', "/ spawned /0 /1", "/1 failed: no_solution, 3 tokens", '/0 wrote "late"', "/0 done, 7 tokens",
                                "/ joined", '/ wrote "end"', "/ done, 12 tokens", "tree done, solved"])

    def test_the_exit_code_says_whether_it_is_solved(self):
        self.answers["GET /v1/trees/T1"] = tree(solved=False)
        self.told(code=1)

    def test_json_lines(self):
        lines = [json.loads(line) for line in self.works("tree", "T1", "--follow", "--json").splitlines()]
        self.assertEqual([line["event"] for line in lines], [e[0] for e in GROWS + ENDS])
        self.assertEqual((lines[-1]["id"], lines[-1]["outcome"]), ("s-23", {"solved": True}))

    def test_text_as_it_is_written(self):
        wait, seen = threading.Event(), threading.Event()
        self.addCleanup(wait.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS[:3], seen.set, lambda: wait.wait(PATIENCE), *GROWS[3:], *ENDS)
        run = self.start("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(run.stdout.readline(), "root\n")  # before the next event is sent
        wait.set()
        self.assertEqual(run.stdout.read(), "think\n<spawn>\n<joined>\n")
        self.assertEqual((run.wait(PATIENCE), run.stderr.read()), (0, ""))

    def test_streams_that_break_go_on(self):
        parts = [stream(*GROWS[:4]), stream(), stream(event(*GROWS[4])[:-9]), stream(*GROWS[4:]), stream(*ENDS[:2], b"event: do"),
                 stream(*ENDS[2:])]
        seen = []

        def answer(r):
            seen.append(r.headers.get("Last-Event-ID"))
            return parts[len(seen) - 1](r)
        self.answers["GET /v1/trees/T1/events"] = answer
        self.assertEqual(self.told(), ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined",
                                       "/ done, 12 tokens", "tree done, solved"])
        self.assertEqual(seen, [None, "s-11", "s-11", "s-11", "s-12", "s-21"])

    def test_a_daemon_that_begins_anew(self):
        """While it is away connections fail; then it tells everything once more."""
        first = self.daemon

        def leave():
            first.server.shutdown()
            first.server.server_close()
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS[:4], lambda: threading.Thread(target=leave).start())
        run = self.start("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(run.stdout.readline(), "root\n")
        again = stream(*GROWS[:2], ("text", {"text": "root\nthinks on\n", "tokens": 9}), *ENDS[2:])
        second = daemon_at(first.server.server_address[1],
                                {"GET /v1/trees/T1": tree(), "GET /v1/trees/T1/events": again})
        self.addCleanup(second.close)
        self.assertEqual(run.stdout.read(), "think\nthinks on\n")  # a line that has changed is begun anew
        self.assertEqual((run.wait(PATIENCE), run.stderr.read()), (0, ""))

    def test_what_was_printed_is_not_printed_again(self):
        """The new daemon tells of a spawn in whose place its join is printed already."""
        text = [("text", {"text": "root\n", "tokens": 2}, 10), ("spawn", {"text": "<spawn>\n", "position": 5, "children": ["/0"]}, 11),
                ("join", {"text": "<joined>\n", "position": 5}, 12), ("text", {"text": "think\n", "position": 14, "tokens": 5}, 13)]
        more = ("text", {"text": "on\n", "position": 20, "tokens": 6}, 24)
        parts = [stream(GROWS[0], *text), stream(GROWS[0], *text, more, *ENDS[2:])]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        self.assertEqual(self.works("tree", "T1", "--follow", "--thread", "/"), "root\n<spawn>\n<joined>\nthink\non\n")

    def test_a_tree_that_ended_while_nobody_heard_is_told_in_the_order_of_time(self):
        def at(second):
            return {"at": f"2026-11-23T09:30:0{second}.000Z"}
        parts = [stream(("tree", {"state": "running", **at(0)}, 0), ("thread", {"state": "decoding", "tokens": 0, "failure": None, **at(0)}, 1)),
                 stream(("tree", {"state": "done", **at(9)}, 2), ("thread", {"state": "done", "tokens": 12, "failure": None, **at(9)}, 3),
                        ("spawn", {"children": ["/0"], "text": "<spawn>", **at(1)}, 4),
                        ("thread", {"thread": "/0", "parent": "/", "state": "done", "tokens": 7, "failure": None, **at(5)}, 5),
                        ("join", {"text": "<joined>", **at(5)}, 6), ("done", {"state": "done", "failure": None, "outcome": {"solved": True}, **at(9)}, 7))]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        told = [line.split(" ", 1)[1] for line in self.works("tree", "T1", "--follow").splitlines()]
        self.assertEqual(told, ["tree running", "/ decoding", "/ spawned /0", "/0 done, 7 tokens", "/ joined", "/ done, 12 tokens", "tree done, solved"])

    def test_streams_that_are_rationed_are_waited_for(self):
        parts = [lambda r: (429, {"error": {"code": "too_many_requests", "message": "ask more slowly"}}, {"Retry-After": "0.01"}),
                 stream(*GROWS, *ENDS)]
        self.answers["GET /v1/trees/T1/events"] = lambda r: parts.pop(0)(r)
        self.assertEqual(self.told()[-1], "tree done, solved")

    def test_a_daemon_that_is_gone_for_good(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS[:3], lambda: threading.Thread(target=self.daemon.close).start())
        done = self.banyan("tree", "T1", "--follow", "--timeout", 0.3)
        self.assertEqual(done.returncode, 3)
        self.assertIn("no daemon answers there", done.stderr)

    def test_a_stream_without_events_is_no_stream(self):
        self.answers["GET /v1/trees/T1/events"] = stream()
        self.refused(3, "tree", "T1", "--follow", "--timeout", 0.3, says="/v1/trees/T1/events")

    def test_what_cannot_be_followed(self):
        for path in ("/99", "nonsense"):
            self.refused(2, "tree", "T1", "--follow", "--thread", path, says=f"{path}: the tree has no such thread")
        del self.answers["GET /v1/trees/T1/events"]
        self.refused(2, "tree", "T1", "--follow", says="nothing is there")

    def test_ctrl_c(self):
        halt, sent = threading.Event(), threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, sent.set, lambda: halt.wait(PATIENCE))
        run = self.start("tree", "T1", "--follow")
        self.assertTrue(sent.wait(PATIENCE))
        run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, errors), (130, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
