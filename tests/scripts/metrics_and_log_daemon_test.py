#!/usr/bin/env python3
"""metrics_and_log_daemon_test.py BANYAND [TEST…]: what a daemon tells its operators."""

import fcntl
import json
import os
import re
import signal
import time
import unittest

from daemon import body, side_by_side
from daemon_case import daemon_case, metrics_page


class looking_inside(daemon_case):
    def test_figures_agree_wherever_they_stand(self):
        one = self.start("--concurrency", 4)
        side_by_side(one.solve, [body(i) for i in range(6)] + [body(0, budget={"max_tokens": 5})])
        one.get("/v1/nothing")
        page = metrics_page(one.get("/metrics").body)
        now = one.status()
        for name, kind in page.kinds.items():
            self.assertIn(name, page.helped)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        for name in ("accepted", "finished", "solved", "failed", "cancelled"):
            self.assertEqual(page.value(f"banyan_trees_{name}_total"), now["trees"][name])
        self.assertEqual(now["trees"]["finished"], 7)
        self.assertEqual(page.value("banyan_tree_failures_total", failure="budget_spent"), 1)
        self.assertEqual(page.value("banyan_generated_tokens_total"), now["tokens"]["generated"])
        self.assertEqual(page.value("banyan_store_trees", state="finished"), now["store"]["finished"])
        for name in ("queued", "decoding", "waiting", "paused"):
            self.assertEqual(page.value("banyan_threads", state=name), now["threads"][name])
        pool = now["pools"][0]
        for name in ("steps", "generated_tokens", "prompt_tokens", "cached_tokens"):
            self.assertEqual(page.value(f"banyan_pool_{name}_total", pool=pool["name"]), pool[name])
        self.assertEqual(page.value("banyan_http_requests_total", method="POST", path="/v1/trees", status="200"), 7)
        self.assertEqual(page.value("banyan_http_requests_total", method="GET", path="other", status="404"), 1)
        for name in (n for n, kind in page.kinds.items() if kind == "histogram"):
            self.whole_histogram(page, name)

    def whole_histogram(self, page, name):
        rows = {}
        for (sample, labels), value in page.samples.items():
            if sample == f"{name}_bucket":
                rest = tuple(pair for pair in labels if pair[0] != "le")
                rows.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        self.assertTrue(rows, name)
        for labels, buckets in rows.items():
            values = [value for _, value in sorted(buckets)]
            self.assertEqual(values, sorted(values))
            self.assertEqual(sorted(buckets)[-1][0], float("inf"))
            self.assertEqual(page.samples[f"{name}_count", labels], values[-1])

    def test_log_lines_are_json_and_name_their_tree(self):
        one = self.start("--log-format", "json", "--log-level", "debug")
        name = one.solve(body(0))["id"]
        one.post(f"/v1/trees/{name}/cancel")
        self.assertEqual(one.stop(), 0)
        lines = [json.loads(line) for line in one.log().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warning", "info", "debug"))
        about = [line["message"] for line in lines if line.get("tree") == name]
        self.assertTrue(any(m.startswith("POST /v1/trees 200") for m in about), about)
        self.assertTrue(any(m.startswith(f"POST /v1/trees/{name}/cancel 409") for m in about), about)

    def test_nobody_else_writes_lines_of_the_log(self):
        for words in ((), ("--log-format", "json")):
            with self.subTest(words=words):
                one = self.start("--log-level", "debug", *words)
                known = one.log()
                one.get("/v1/trees/x%0a2026-11-22T09:30:00Z%20error%20FORGED%1b%5b2J%7f%c2%9b%9b")
                self.assertEqual(one.stop(), 0)
                said = one.log().removeprefix(known)
                (forged,) = (line for line in said.split("\n") if "FORGED" in line)
                self.assertIn("GET /v1/trees/x", forged)
                self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
                self.assertNotIn('"tree"' if words else "[x", forged)

    def test_every_tree_leaves_a_line_when_it_ends(self):
        one = self.start("--log-format", "json")
        solved = one.solve(body(0))
        failed = one.solve(body(1, budget={"max_tokens": 5}))["id"]
        waiting = one.submit(body(2, budget={"deadline_s": 3600}))
        for action in ("pause", "resume", "cancel"):
            one.post(f"/v1/trees/{waiting}/{action}")
        self.assertEqual(one.stop(), 0)
        lines = [json.loads(line) for line in one.log().splitlines()]

        def about(name):
            return [line["message"] for line in lines if line.get("tree") == name]

        self.assertEqual(len(about(solved["id"])), 1, lines)
        tokens, threads = solved["usage"]["generated_tokens"], solved["usage"]["threads"]
        self.assertRegex(about(solved["id"])[0], rf"^((un)?solved|failed \(.*\)), {tokens} tokens, {threads} threads?, \d+ ms$")
        self.assertEqual(len(about(failed)), 1, lines)
        self.assertRegex(about(failed)[0], r"^failed \(budget_spent\), 5 tokens, 1 thread, \d+ ms$")
        self.assertEqual({line["level"] for line in lines}, {"info"})
        by_hand = [m for m in about(waiting) if m.endswith("by hand")]
        self.assertEqual(by_hand, ["paused by hand", "resumed by hand", "cancelled by hand"][:len(by_hand)])

    def test_logs_are_as_loud_as_asked_for(self):
        one = self.start("--log-level", "error")
        one.get("/v1/nothing")
        one.stop()
        self.assertEqual(one.log(), "")

    def with_an_unread_log(self, *words):
        """A daemon whose standard error is a small pipe, and the pipe's other end."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        with open(writing, "wb") as log:
            return self.start("--log-level", "debug", *words, log=log), reading

    def ask_often(self, one, count):
        connection = one.connect(timeout=20)
        for _ in range(count):
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
        connection.close()

    def test_a_log_that_nobody_reads_holds_nothing_up(self):
        one, _ = self.with_an_unread_log()
        self.ask_often(one, 300)
        self.assertEqual(one.solve(body(0))["state"], "done")
        begin = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - begin, 30)

    def test_a_log_that_is_read_late_says_what_is_missing(self):
        one, reading = self.with_an_unread_log()
        self.ask_often(one, 6000)
        one.process.send_signal(signal.SIGTERM)
        lines = b"".join(iter(lambda: os.read(reading, 65536), b"")).decode().splitlines()
        self.assertEqual(one.wait(), 0)
        (dropped,) = [int(m[1]) for m in map(re.compile(r" (\d+) lines of the log were not written").search, lines) if m]
        told = sum("GET /healthz 200" in line for line in lines)
        self.assertGreater(dropped, 1000)
        self.assertLess(abs(6000 - dropped - told), 10)  # other lines are among the dropped ones
        self.assertTrue(lines[-1].endswith("ended"), lines[-1])


if __name__ == "__main__":
    unittest.main()
