#!/usr/bin/env python3
"""reload_daemon_test.py BANYAND [TEST…]: options that change while a daemon runs."""

import signal
import unittest

from daemon import wait_for
from daemon_case import daemon_case


class changing(daemon_case):
    def read_again(self, one):
        known = one.log().count("the config")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: one.log().count("the config") > known, "the config was not read")

    def test_a_new_token_takes_the_place_of_the_old_one(self):
        old, new = "an-old-token-of-some-length", "a-new-token-of-some-length"
        file = self.write("token", old + "\n")
        one = self.start("--token-file", file)
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.get("/v1/status").status, 401)
        one.token = old
        self.assertEqual(one.get("/v1/status").status, 200)
        file.write_text(new + "\n")
        self.assertEqual(one.get("/v1/status").status, 200)
        self.read_again(one)
        self.refused(one.get("/v1/status"), 401, "unauthorized")
        one.token = new
        self.assertEqual(one.get("/v1/status").status, 200)

    def test_a_file_without_a_token_changes_nothing(self):
        file = self.write("token", "a-token-of-some-length\n")
        one = self.start("--token-file", file)
        one.token = "a-token-of-some-length"
        file.write_text("")
        self.read_again(one)
        one.logs("stays as it was")
        self.assertEqual(one.get("/v1/status").status, 200)
        one.token = None
        self.assertEqual(one.get("/v1/status").status, 401)

    def test_the_log_becomes_as_loud_as_the_config_says(self):
        config = self.write("banyand.conf", "log-level = info\n")
        one = self.start("--config", config)
        one.get("/v1/status")
        self.assertNotIn("/v1/status", one.log())
        config.write_text("log-level = debug\n")
        self.read_again(one)
        one.get("/v1/status")
        one.logs("GET /v1/status 200")
        config.write_text("log-level = quiet\n")
        self.read_again(one)
        one.logs("stays as it was")
        one.get("/v1/pools")
        one.logs("GET /v1/pools 200")

    def test_what_waits_for_the_next_start_is_named(self):
        config = self.write("banyand.conf", "concurrency = 3\n")
        one = self.start("--config", config)
        self.read_again(one)
        self.assertNotIn("next start", one.log())
        config.write_text("concurrency = 4\ndevice = cpu\nlog-level = debug\n")
        self.read_again(one)
        warned = [line for line in one.log().splitlines() if "next start" in line]
        self.assertEqual(len(warned), 2, warned)
        for name, line in zip(("device", "concurrency"), warned):
            self.assertIn(f"{name}: ", line)
        one.get("/v1/status")
        one.logs("GET /v1/status 200")  # the rest counts at once

    def test_rates_and_retention_change_too(self):
        config = self.write("banyand.conf", "")
        one = self.start("--config", config)
        self.assertTrue(all(one.get("/v1/models").status == 200 for _ in range(20)))
        config.write_text("requests-per-second = 1\n")
        self.read_again(one)
        given = [one.get("/v1/models") for _ in range(20)]
        self.assertIn(429, [g.status for g in given])
        limited = next(g for g in given if g.status == 429)
        self.refused(limited, 429, "too_many_requests")
        self.assertRegex(limited.headers["Retry-After"], r"^\d+$")


if __name__ == "__main__":
    unittest.main()
