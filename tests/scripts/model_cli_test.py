#!/usr/bin/env python3
"""model_cli_test.py BANYAN [TEST…]: the shipped model is described, exported and imported."""

import json
import unittest

from cli_case import banyan, cli_case
from daemon import MODEL


class model(cli_case):
    def test_info(self):
        told = json.loads(banyan("model", "info", MODEL, "--json").stdout)
        self.assertGreater(told["parameters"], 0)
        self.assertIn("model.safetensors", told["files"])

    def test_export_and_import_keep_the_weights(self):
        for command, name in (("export", "a"), ("import", "b")):
            done = banyan("model", command, MODEL, "--out", self.folder / name)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "a" / "model.safetensors").read_bytes(),
                         (self.folder / "b" / "model.safetensors").read_bytes())
        self.refused(2, "model", "export", MODEL, "--out", self.folder / "a", names="a")
        self.refused(3, "model", "export", MODEL, "--out", self.folder / "nowhere" / "a/", names="nowhere")
        self.assertFalse((self.folder / "nowhere").exists())
        half = banyan("model", "export", MODEL, "--out", self.folder / "half", "--dtype", "bfloat16", "--json")
        self.assertEqual(json.loads(half.stdout)["dtype"], "bfloat16")

    def test_a_folder_that_is_not_there_is_told(self):
        for command in (["info"], ["export", "--out", "x"], ["import", "--out", "x"]):
            self.refused(3, "model", command[0], self.folder / "none", *command[1:], names="none: no such folder")

    def test_damage_is_found(self):
        banyan("model", "export", MODEL, "--out", self.folder / "a")
        weights = self.folder / "a" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        self.refused(3, "solve", "--target", 54, 25, 7, 3, "--model", self.folder / "a", names="model.safetensors")


if __name__ == "__main__":
    unittest.main(verbosity=2)
