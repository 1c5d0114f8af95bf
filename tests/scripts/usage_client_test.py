#!/usr/bin/env python3
"""usage_client_test.py BANYAN [TEST…]: help, words that are wrong, and the config file."""

import re
import subprocess
import unittest

from client_case import BANYAN, client_case, lists
from daemon import PATIENCE


class usage(client_case):
    commands = ("ps", "top", "tree", "cancel", "pause", "resume", "export", "submit")

    def test_help(self):
        told = self.works("--help")
        for command in self.commands:
            self.assertRegex(told, rf"(?m)^  {command} ")
            self.assertIn("--url", self.works(command, "--help"))

    def test_wrong_usage(self):
        for words, says in [
            (["ps", "--state", "dead"], "dead"),
            (["ps", "--label", "x"], "--label"),
            (["ps", "--limit", 0], "--limit"),
            (["ps", "more"], "more"),
            (["tree"], "id"),
            (["tree", "a", "b"], "tree"),
            (["cancel"], "id"),
            (["pause", "--thread", "/0"], "id"),
            (["top", "--interval", 0], "--interval"),
            (["submit"], "submit"),
            (["submit", "--target", 54, 25], "54"),
            (["submit", "--target", 54, 25, 7, 3, "--labels", "=x"], "--labels"),
            (["export", "--format", "xml"], "xml"),
            (["export", "--since", "yesterday"], "--since"),
            (["export", "--format", "records", "--out", "x.trees"], "--store"),
            (["export", "--out", "x.trees"], "--store"),
            (["export", "--format", "records", "--store", "x"], "--out"),
        ]:
            with self.subTest(words=words):
                self.refused(2, *words, says=says)
        self.assertEqual(self.daemon.seen, [])

    def test_the_config_file_knows_all_options(self):
        """What a command's help lists may stand in the user's config file, whichever command reads it."""
        commands = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", self.works("--help"))
        helps = {command: self.works(*command.split(), "--help") for command in commands}
        daemon = BANYAN.with_name("banyand")
        helps["banyand"] = subprocess.run([daemon, "--help"], capture_output=True, text=True, timeout=PATIENCE, env=self.env, check=True).stdout
        options = {command: set(re.findall(r"(?m)^  --([a-z0-9-]+)", told)) for command, told in helps.items()}
        config = self.folder / "banyan" / "banyan.conf"
        config.parent.mkdir()
        home = {"XDG_CONFIG_HOME": str(self.folder)}
        self.answers["GET /v1/trees"] = lists()
        others = sorted(set().union(*options.values()) - options["ps"])
        config.write_text("".join(f"{name} = 1\n" for name in others) + "".join(f"[{command}]\n" for command in options))
        self.works("ps", env=home)
        config.write_text("\nunheard-of = 1\n")
        self.refused(2, "ps", env=home, says=[f"{config}: line 2: unheard-of"])
        config.write_text("json = true\n[ps]\njson = false\n[top]\ninterval = x\n")
        self.assertIn("ID", self.works("ps", env=home))
        self.refused(2, "top", env=home, says=f"{config}: line 5: interval")


if __name__ == "__main__":
    unittest.main(verbosity=2)
