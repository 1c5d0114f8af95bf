#!/usr/bin/env python3
"""top_client_test.py BANYAN [TEST…]: what `banyan top` prints, and how it is steered on a terminal."""

import json
import re
import signal
import threading
import time
import unittest

from client_case import BANYAN, client_case, counting_status, lists, tree
from daemon import PATIENCE
from terminal_case import shown, terminal_case


class snapshots(client_case):
    def setUp(self):
        super().setUp()
        self.answers["GET /v1/status"] = counting_status()
        self.answers["GET /v1/trees"] = lists(tree("R1", "running"), tree("R2", "running", usage={"threads": 40, "generated_tokens": 5}), tree("Q1", "queued"))

    def test_one_per_interval(self):
        out = self.works("top", "--count", 3, "--interval", 0.05)
        self.assertEqual(out.count("banyan 1.2.3 at " + self.daemon.url + ", ready, up 1:02:03\n"), 3)
        first, second = out.split("banyan ")[1:3]
        self.assertIn("2 running, 1 queued, 0 paused, 120 finished, 6 since start: 5 solved, 1 failed, 0 cancelled\n", first)
        self.assertIn("5 decoding, 2 waiting", first)
        self.assertRegex(first, r"cpu:0 +3 +17 +- +\[#####\+\+\+\+\+=====\.\.\.\.\.\] 750 of 1\.0k +54 % +-")
        self.assertRegex(second, r"cpu:0 +3 +17 +\d[\d.]*[kM] ")
        self.assertRegex(second, r"\d[kM] tokens/s")
        self.assertEqual(re.findall(r"(?m)^([RQ]\d) ", first), ["R2", "R1", "Q1"])

    def test_long_lists_are_cut(self):
        self.answers["GET /v1/trees"] = lists(*(tree(f"R{i}", "running") for i in range(25)))
        self.assertRegex(self.works("top", "--count", 1), r"(\nR\d+ [^\n]*){20}\nand 5 more trees\n$")

    def test_json_lines(self):
        lines = [json.loads(line) for line in self.works("top", "--count", 2, "--interval", 0.05, "--json").splitlines()]
        self.assertEqual([line["status"]["tokens"]["generated"] for line in lines], [1000, 2000])
        self.assertEqual(len(lines[0]["trees"]), 3)


class on_a_terminal(terminal_case):
    def test_q_leaves_the_terminal_as_it_was(self):
        t = self.top()
        self.assertFalse(t.restored())
        self.assertIn(b"\x1b[?1049h", t.seen)
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())
        t.wait_for(r"\x1b\[\?25h\x1b\[\?1049l$")

    def test_signals_leave_the_terminal_as_it_was(self):
        halt = threading.Event()
        self.addCleanup(halt.set)
        for keys, number, code in (("\x03", None, 130), (None, signal.SIGTERM, 143), (None, signal.SIGHUP, -signal.SIGHUP),
                                   (None, signal.SIGQUIT, -signal.SIGQUIT)):
            with self.subTest(number=number):
                t = self.top()
                t.press(keys) if keys else t.program.send_signal(number)
                self.assertEqual(t.program.wait(PATIENCE), code)
                self.assertTrue(t.restored())
                t.wait_for(r"\x1b\[\?1049l")

    def test_stopped_and_brought_back(self):
        shell = ("sh", "-mc", '"$0" "$@"; echo stopped; read line; fg; echo ended $?', BANYAN)
        t = self.run_on_terminal("top", "--interval", 0.05, program=shell)
        at = t.wait_for("q quit")
        t.press("\x1a")
        at = t.wait_for(r"\x1b\[\?1049l.*stopped", at)
        self.assertTrue(t.restored())
        t.press("\n")
        at = t.wait_for(r"\x1b\[\?1049h.*q quit", at)
        t.press("q")
        t.wait_for(r"\x1b\[\?1049l.*ended 0", at)
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())

    def test_frames_fit_the_terminal(self):
        t = self.top(columns=60, rows=20)
        at = len(t.seen)
        t.resize(40, 12)
        t.program.send_signal(signal.SIGWINCH)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = [shown(f) for f in t.frames(at)]
            if any(len(frame) == 12 for frame in lines):
                break
            time.sleep(0.01)
        small = [frame for frame in lines if len(frame) == 12]
        self.assertTrue(small)
        for frame in small:
            self.assertLessEqual(max(map(len, frame)), 40)
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)

    def test_keys_move_through_the_list(self):
        t = self.top()
        at = self.selected(t, "R39")
        t.press("\x1b[B\x1b[B")
        at = self.selected(t, "R37", at)
        t.press("\x1b[A")
        at = self.selected(t, "R38", at)
        t.press("\x1b[F")
        at = self.selected(t, "R00", at)
        t.press("\x1b[5~")
        at = t.wait_for(r"\x1b\[7mR[12]\d ", at)
        t.press("\x1b[H")
        self.selected(t, "R39", at)

    def test_nobody_is_cancelled_in_the_place_of_a_tree_that_has_ended(self):
        """Between the question and the answer, and before a key, the marked tree goes from the list."""
        rest = [tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(39)]
        self.answers["POST /v1/trees/R39/cancel"] = (409, {"error": {"message": "R39: it has ended; there is nothing to do"}})
        t = self.top()
        at = self.selected(t, "R39")
        t.press("c")
        at = t.wait_for(r"cancel R39\? y/n", at)
        self.answers["GET /v1/trees"] = lists(*rest)
        at = t.wait_for(r"\x1b\[H(?:(?!R39).)*cancel R39\? y/n", at)  # it is not in the list, but asked about
        t.press("y")
        at = t.wait_for("R39: it has ended", at)
        for key in "pr":
            t.press(key)
            at = t.wait_for("no tree is marked", at)
        t.press("c")
        at = t.wait_for("no tree is marked", at)
        self.assertFalse(any(b"\x1b[7m" in frame for frame in t.frames(at)))
        self.assertEqual([r.path for r in self.daemon.seen if r.method == "POST"], ["/v1/trees/R39/cancel"])
        t.press("\x1b[B")
        self.selected(t, "R37", at)

    def test_the_marked_tree_stays_the_same_one(self):
        """The first that is seen is marked, whichever stands there later."""
        self.answers["POST /v1/trees/R39/pause"] = tree("R39", "paused")
        t = self.top()
        at = self.selected(t, "R39")
        trees = [tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(39, 42)]
        self.answers["GET /v1/trees"] = lists(*trees)
        at = t.wait_for(r"R41 .*R40 .*\x1b\[7mR39 ", at)
        t.press("p")
        t.wait_for("R39 paused", at)

    def test_the_threads_of_a_tree_are_scrolled_through(self):
        big = tree("R39", "running")
        big["threads"] += [{**big["threads"][1], "path": f"/{i}"} for i in range(1, 12)]
        self.answers["GET /v1/trees/R39"] = big
        t = self.top(rows=12)
        t.press("\r")
        at = t.wait_for(r"/ +waiting.*threads 1 to \d+ of 13")
        t.press("\x1b[B")
        at = t.wait_for(r"threads 2 to", at)
        t.press("\x1b[F")
        at = t.wait_for(r"/11 .*threads \d+ to 13 of 13", at)
        t.press("\x1b[H")
        at = t.wait_for(r"threads 1 to", at)
        t.press("\x1b[6~")
        at = t.wait_for(r"threads [3-9] to", at)
        t.press("\r")
        self.selected(t, "R39", at)  # the list did not move

    def test_a_narrow_terminal_shows_figures_before_all_else(self):
        id = "01J9ZC3V7R2M8Q5T4W6X0Y1B3D"
        self.answers["GET /v1/trees"] = lists(tree(id, "running", labels={"run": "a"}))
        t = self.top(columns=60)
        lines = shown(t.frames()[-1])
        head = next(i for i, line in enumerate(lines) if "TOKENS" in line and "TIME" in line)
        self.assertEqual(lines[head].split(), ["ID", "STATE", "PROBLEM", "THREADS", "TOKENS", "TIME"])
        self.assertRegex(lines[head + 1], r"^\.\.[0-9A-Z]+ +running +25, 7, 3 -> 54 +2 +19 +1:47$")
        self.assertTrue(id.endswith(lines[head + 1].split()[0][2:]))
        self.assertRegex("\n".join(lines), r"(?m)^cpu:0 +3 +17 .* 54 % ")
        self.assertRegex("\n".join(lines), r"(?m)^trees .* \.\.\.$")

    def test_a_tree_is_shown_and_left(self):
        self.answers["GET /v1/trees/R39"] = tree("R39", "running")
        t = self.top()
        t.press("\r")
        at = t.wait_for("waits for /0.*19 tokens.*Enter back")
        t.press("\r")
        self.selected(t, "R39", at)

    def test_trees_are_cancelled_once_that_is_confirmed(self):
        for action, state in (("cancel", "cancelled"), ("pause", "paused"), ("resume", "running")):
            self.answers[f"POST /v1/trees/R39/{action}"] = tree("R39", state)
        t = self.top()
        t.press("c")
        at = t.wait_for(r"cancel R39\? y/n")
        t.press("n")
        at = t.wait_for("q quit", at)
        t.press("p")
        at = t.wait_for("R39 paused", at)
        t.press("r")
        at = t.wait_for("R39 running", at)
        self.assertEqual(self.daemon.asked("/v1/trees/R39/cancel", "POST"), [])
        t.press("cy")
        t.wait_for("R39 cancelled", at)
        self.assertEqual(len(self.daemon.asked("/v1/trees/R39/cancel", "POST")), 1)

    def test_a_daemon_that_goes_away_is_waited_for(self):
        t = self.top()
        real = self.answers["GET /v1/status"]
        self.answers["GET /v1/status"] = (503, {"error": {"message": "the daemon: it is about to end; ask another one"}})
        at = t.wait_for("it is about to end")
        self.answers["GET /v1/status"] = real
        t.wait_for("q quit", at)

    def test_q_does_not_wait_for_a_silent_daemon(self):
        t = self.top()
        halt, asked = threading.Event(), threading.Event()
        self.addCleanup(halt.set)
        self.answers["GET /v1/status"] = lambda r: asked.set() or halt.wait(PATIENCE) and None
        self.assertTrue(asked.wait(PATIENCE))
        t.press("q")
        self.assertEqual(t.program.wait(PATIENCE), 0)
        self.assertTrue(t.restored())


if __name__ == "__main__":
    unittest.main(verbosity=2)
