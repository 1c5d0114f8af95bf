#!/usr/bin/env python3
"""manager_daemon_test.py BANYAND [TEST…]: a daemon and who starts it: its service manager, descriptors, tokens."""

import os
import re
import signal
import socket
import time
import unittest

from daemon import PATIENCE, wait_for
from daemon_case import daemon_case


class manager(daemon_case):
    def listen(self, name):
        told_here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told_here.close)
        told_here.settimeout(PATIENCE)
        told_here.bind(name)
        return told_here

    def heard(self, told_here, word):
        """What is said from now on until that word."""
        said = []
        while not any(line == word or line.startswith(word + "=") for line in said):
            said += told_here.recv(4096).decode().splitlines()
        return said

    def test_who_started_it_may_go_before_it_is_ready(self):
        read, write = os.pipe()
        os.close(read)
        one = self.start(ready=False, output=write)
        os.close(write)
        wait_for(lambda: "going on" in one.log(), "it says nothing of its address")
        address = re.search(r"nobody reads the address (http://127\.0\.0\.1:(\d+)); going on", one.log())
        one.url, one.port = address[1], int(address[2])
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.stop(), 0)

    def test_descriptors_that_are_closed_are_no_place_for_files(self):
        for closed in ((0, 2), (0,), (2,)):
            with self.subTest(closed=closed):
                one = self.start(preexec_fn=lambda: [os.close(d) for d in closed])
                self.assertEqual(one.get("/healthz").status, 200)
                self.assertEqual(one.stop(), 0)
                for file in one.data.iterdir():
                    self.assertNotIn(b"ready after", file.read_bytes(), file)

    def test_a_token_that_is_taken_away_is_told(self):
        secret = self.write("token", "a-token-that-is-long\n")
        config = self.write("b.conf", f"token-file = {secret}\n")
        one = self.start("--config", config)
        self.assertEqual(one.get("/v1/status").status, 401)
        config.write_text("")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "whoever is on this machine is let in" in one.log(), "nothing is said")
        self.assertRegex(one.log(), r"(?m)^.*warn.*token-file: there is none any more")
        self.assertEqual(one.get("/v1/status").status, 200)

    def test_the_manager_hears_of_begin_life_and_end(self):
        path = str(self.folder / "notify")
        told_here = self.listen(path)
        one = self.start(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        begin = self.heard(told_here, "READY")
        self.assertIn("READY=1", begin)
        self.assertIn(f"STATUS=serving {one.url}", begin)
        began = time.monotonic()
        for _ in range(3):
            self.heard(told_here, "WATCHDOG")
        self.assertLess(time.monotonic() - began, 10)
        one.process.send_signal(signal.SIGHUP)
        self.heard(told_here, "RELOADING")
        self.heard(told_here, "READY")
        one.process.send_signal(signal.SIGTERM)
        self.heard(told_here, "STOPPING")
        self.assertEqual(one.wait(), 0)

    def test_an_abstract_socket_does_as_well(self):
        name = f"banyand-test-{os.getpid()}"
        told_here = self.listen("\0" + name)
        self.start(environment={"NOTIFY_SOCKET": "@" + name})
        self.assertIn("READY=1", self.heard(told_here, "READY"))

    def test_a_manager_that_is_not_there_is_no_trouble(self):
        one = self.start(environment={"NOTIFY_SOCKET": str(self.folder / "nobody"), "WATCHDOG_USEC": "1"})
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    unittest.main()
