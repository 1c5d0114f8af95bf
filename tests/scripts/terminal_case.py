"""What tests of programs on a terminal share."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

from client_case import BANYAN, client_case, counting_status, lists, tree
from daemon import PATIENCE


class terminal:
    """A program on a terminal of its own, as a user sees it."""

    def __init__(self, words, env, columns=100, rows=30, program=(BANYAN,)):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.arrived = threading.Condition()

        def own_terminal():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        self.program = subprocess.Popen([*program, *map(str, words)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=env, preexec_fn=own_terminal, pass_fds=(self.slave,))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError):
            while piece := os.read(self.master, 65536):
                with self.arrived:
                    self.seen += piece
                    self.arrived.notify_all()

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait_for(self, pattern, since=0):
        """Waits until what came after `since` bytes matches; returns the place behind the match."""
        with self.arrived:
            found = None

            def matches():
                nonlocal found
                found = re.search(pattern.encode(), self.seen[since:], re.S)
                return found
            if not self.arrived.wait_for(matches, PATIENCE):
                raise AssertionError(f"{pattern} does not come: {self.seen[since:][-3000:]}")
            return since + found.end()

    def frames(self, since=0):
        return [f for f in self.seen[since:].split(b"\x1b[H") if f.endswith(b"\x1b[J")]

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.slave)
        os.close(self.master)


def shown(frame):
    """The lines of a frame without their colours."""
    return [re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", line).decode() for line in frame.split(b"\r\n")]


class terminal_case(client_case):
    def run_on_terminal(self, *words, **size):
        t = terminal(words, self.env, **size)
        self.addCleanup(t.close)
        return t

    def top(self, **size):
        t = self.run_on_terminal("top", "--interval", 0.05, **size)
        t.wait_for("q quit")
        return t

    def setUp(self):
        super().setUp()
        self.answers["GET /v1/status"] = counting_status()
        self.answers["GET /v1/trees"] = lists(*(tree(f"R{i:02}", "running", created=f"2026-11-23T09:{i:02}:00.000Z") for i in range(40)))
        self.answers["GET /v1/trees/T1"] = tree()

    def selected(self, t, id, since=0):
        return t.wait_for(r"\x1b\[7m" + id + " ", since)
