#!/usr/bin/env python3
"""idle_daemon_test.py BANYAND [TEST…]: what a daemon costs that has nothing to do; to be run alone."""

import time
import unittest

from daemon import body, side_by_side
from daemon_case import daemon_case


class idling(daemon_case):
    def test_it_uses_no_processor_when_there_is_nothing_to_do(self):
        one = self.start()
        side_by_side(one.solve, map(body, range(4)))
        time.sleep(0.5)
        watched = one.stream("/v1/events")
        before, began = one.cpu_s(), time.monotonic()
        time.sleep(3)
        share = (one.cpu_s() - before) / (time.monotonic() - began)
        watched.close()
        self.assertLess(share, 0.03)


if __name__ == "__main__":
    unittest.main()
