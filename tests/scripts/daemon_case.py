"""What tests of a daemon share. The first word of their command line is the program."""

import functools
import pathlib
import sys
import unittest

from daemon import body, daemon, scratch_folder, told

BANYAND = sys.argv.pop(1)


class daemon_case(unittest.TestCase):
    def setUp(self):
        scratch = scratch_folder()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def start(self, *words, **more):
        """A daemon that ends with the test."""
        started = daemon(BANYAND, self.folder, *words, **more)
        self.addCleanup(started.kill)
        return started

    def refused(self, given, status, code):
        self.assertEqual((given.status, given.error["code"]), (status, code), given)
        self.assertIn("; ", given.error["message"])
        return given

    def says(self, given, status, message):
        self.assertEqual((given.status, given.error["message"]), (status, message), given)

    def same_texts(self, tree, other):
        self.assertEqual(told(tree), told(other))


class shared_case(daemon_case):
    """All tests of the class ask one daemon."""

    words = ()

    @classmethod
    def setUpClass(cls):
        scratch = scratch_folder()
        cls.addClassCleanup(scratch.cleanup)
        cls.daemon = daemon(BANYAND, scratch.name, *cls.words)
        cls.addClassCleanup(cls.daemon.kill)


@functools.cache
def undisturbed(number):
    """The tree as it grows where nobody interferes."""
    with scratch_folder() as folder, daemon(BANYAND, folder) as one:
        return one.solve(body(number))


def at_first(watched, name, count=1):
    """Reads until so many events of that name have come; the events."""
    seen = []
    for e in watched:
        seen.append(e)
        count -= e.name == name
        if count == 0:
            break
    return seen
