#!/usr/bin/env python3
"""terminal_client_test.py BANYAN [TEST…]: trees on a terminal."""

import threading
import time
import unittest

from client_case import ENDS, GROWS, lists, stream, tree
from daemon import PATIENCE
from terminal_case import terminal_case


class on_a_terminal(terminal_case):
    def test_ctrl_c_leaves_the_tree_that_was_followed_on_the_screen(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, lambda: time.sleep(2))
        t = self.run_on_terminal("tree", "T1", "--follow")
        t.wait_for("/0")
        before = len(t.seen)
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)
        t.wait_for("\r\x1b\\[K", before)
        self.assertNotRegex(t.seen[before:].decode(), "\x1b\\[[0-9]+A")  # nothing is drawn over

    def test_what_is_followed_does_not_steer_the_terminal(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS[:2], ("text", {"text": "red \x1b[31m\nnext\n", "tokens": 2}, 10), *ENDS[2:])
        t = self.run_on_terminal("tree", "T1", "--follow", "--thread", "/")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for("red .*31m\r\nnext\r\n")
        self.assertNotIn(b"\x1b[31m", t.seen)

    def test_a_dumb_terminal_gets_lines(self):
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, *ENDS)
        self.env["TERM"] = "dumb"
        t = self.run_on_terminal("top", "--interval", 0.05)
        t.wait_for("banyan .*R39 .*banyan .*R39 ")
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)
        self.assertNotIn(b"\x1b", t.seen)
        t = self.run_on_terminal("tree", "T1", "--follow")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for("/ spawned /0\r\n.*tree done, solved\r\n$")
        self.assertNotIn(b"\x1b", t.seen)

    def test_a_tree_that_is_followed_is_drawn(self):
        wait = threading.Event()
        self.addCleanup(wait.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, lambda: wait.wait(PATIENCE), *ENDS)
        t = self.run_on_terminal("tree", "T1", "--follow", columns=60, rows=20)
        at = t.wait_for(r"T1  running.*waits for /0.*\n.*/0 +queued")
        t.resize(50, 10)
        wait.set()
        self.assertEqual(t.program.wait(PATIENCE), 0)
        t.wait_for(r"T1  done.*no solution.*\(verified\)", at)
        self.assertTrue(t.restored())

    def test_ctrl_c_ends_a_drawing(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/trees/T1/events"] = stream(*GROWS, lambda: halt.wait(PATIENCE))
        t = self.run_on_terminal("tree", "T1", "--follow")
        t.wait_for("waits for /0")
        t.press("\x03")
        self.assertEqual(t.program.wait(PATIENCE), 130)

    def test_what_models_wrote_does_not_steer_the_terminal(self):
        evil = tree()
        evil["threads"][0]["text"] = "clear \x1b[2J\nand \x9b2J \x07\n"
        evil["labels"] = {"x": "\x1b]0;title\x07"}
        self.answers["GET /v1/trees/T1"] = evil
        self.answers["GET /v1/trees"] = lists({**evil, "state": "done"})
        for words in (["tree", "T1", "--texts"], ["ps"]):
            t = self.run_on_terminal(*words)
            self.assertEqual(t.program.wait(PATIENCE), 0)
            t.wait_for("clear|title")
            for wrong in (b"\x1b[2J", b"\x1b]", b"\x07", "\x9b".encode()):
                self.assertNotIn(wrong, t.seen)


if __name__ == "__main__":
    unittest.main(verbosity=2)
