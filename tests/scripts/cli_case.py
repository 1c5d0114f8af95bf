"""What tests of the command line share: `banyan` is called as a user does; exit codes, streams and messages are checked."""

import json
import os
import stat
import subprocess

from daemon import SOURCE
from program_case import PROGRAM as BANYAN, program_case

DEMO = SOURCE / "models" / "demo-problems.json"
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"  # a user's own options are not what is tested

# Small enough to be trained in a second.
TINY = ["--hidden", "16", "--layers", "1", "--heads", "1", "--kv-heads", "1", "--head-dim", "16",
        "--intermediate", "16", "--trees", "1:1", "--drill-steps", "1", "--drill-rows", "2",
        "--log-every", "1", "--threads", "1"]


def banyan(*words, **more):
    return subprocess.run([BANYAN, *map(str, words)], capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL, **more)


class cli_case(program_case):
    def full_device(self):
        """A device without room, of the test's own: a program at fault could replace /dev/full."""
        try:
            os.mknod(self.folder / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
            open(self.folder / "full", "w").close()
        except PermissionError:
            self.skipTest("making a device takes root")
        return self.folder / "full"

    def leaves_in_order(self, out, *words):
        """Training whose reader leaves after the first line ends without a word, and with what it learnt."""
        run = subprocess.Popen([BANYAN, "train", *map(str, words), "--out", str(out), "--json", "--log-level", "error"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        step = json.loads(run.stdout.readline())["step"]
        run.stdout.close()
        self.assertEqual((run.wait(120), run.stderr.read()), (141, ""))
        run.stderr.close()
        self.assertGreaterEqual(json.loads((out / "last" / "trainer.json").read_text())["step"], step)

    def refused(self, code, *words, names, **more):
        """The program ends with `code`, says nothing but one line, and that names the input."""
        done = banyan(*words, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertRegex(done.stderr, r"^banyan: .+: .+; .+")
        self.assertIn(names, done.stderr)
        return done
