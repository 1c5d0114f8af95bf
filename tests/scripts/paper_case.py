"""What tests of the paper's experiments share. The modules of bench/paper can be imported after this one."""

import os
import sys

from daemon import SOURCE
from program_case import PROGRAM as BANYAN, program_case

os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "bench" / "paper"))


class paper_case(program_case):
    def setUp(self):
        super().setUp()
        self.out = self.folder
