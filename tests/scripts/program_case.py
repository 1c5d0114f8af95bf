"""What all tests of programs share. The first word of their command line is the program."""

import pathlib
import sys
import unittest

from daemon import scratch_folder

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()


class program_case(unittest.TestCase):
    """Every test has a folder of its own."""

    def setUp(self):
        scratch = scratch_folder()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name
