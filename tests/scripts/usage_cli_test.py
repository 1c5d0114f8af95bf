#!/usr/bin/env python3
"""usage_cli_test.py BANYAN [TEST…]: help, and what is said of words, files and places that are wrong."""

import os
import subprocess
import unittest

from cli_case import BANYAN, TINY, banyan, cli_case

# More brackets than a recursion survives, with something behind them.
DEEP = '{"numbers": ' + "[" * 100_000 + "]" * 100_000 + ', "target": 54}'


class usage(cli_case):
    def test_help_goes_to_standard_output(self):
        done = banyan("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for command in ("solve", "evaluate", "generate problems", "generate traces", "train sft", "train rl",
                        "model info"):
            self.assertIn(command, done.stdout)
            told = banyan(*command.split(), "--help")
            self.assertEqual((told.returncode, told.stderr), (0, ""))
            self.assertIn("Examples:", told.stdout)
            self.assertTrue(told.stdout.startswith("Usage: banyan " + command))

    def test_help_of_a_group_lists_its_commands(self):
        for group, commands in (("generate", ["problems", "traces"]), ("train", ["sft", "rl"]), ("model", ["info", "import", "export"])):
            for words in ([group, "--help"], [group, "-h"], ["help", group]):
                done = banyan(*words)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for command in commands:
                    self.assertRegex(done.stdout, f"(?m)^  {group} {command} +[a-z]")
        self.assertEqual(banyan("help", "train", "sft").stdout, banyan("train", "sft", "--help").stdout)
        self.assertEqual(banyan("help").stdout, banyan("--help").stdout)
        self.refused(2, "help", "slove", names="slove")
        self.refused(2, "slove", "--help", names="slove")

    def test_version(self):
        self.assertRegex(banyan("--version").stdout, r"^banyan \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        for words, names in [
            ([], "command"),
            (["slove"], "slove"),
            (["train"], "train"),
            (["generate", "poems"], "poems"),
            (["solve"], "solve"),
            (["solve", "--targte", 5], "did you mean --target?"),
            (["solve", "--target"], "--target"),
            (["solve", "--target", "x", 1, 2], "x"),
            (["solve", "--target", 24, 1], "1 -> 24: a problem has 2 to 6 numbers, this one has 1; give two to six"),
            (["solve", "--target", 24], "--target 24: a problem has 2 to 6 numbers, this one has 0; give two to six"),
            (["solve", "--target", -24, 1, 2, 3], "1, 2, 3 -> -24: targets go from 0 to 9999, -24 does not; give another one"),
            (["solve", "--target", 24, 1, 2, -3], "1, 2, -3 -> 24: numbers go from 0 to 9999, -3 does not; give another one"),
            (["solve", "--target", 24, 1, 2, 3, "--target", 3, 1, 2], "--target"),
            (["solve", "--target", 24, 1, 2, 3, "--device", "tpu"], "tpu"),
            (["solve", "--target", 24, 1, 2, 3, "--temperature", "hot"], "hot"),
            (["solve", "--target", 24, 1, 2, 3, "--join", "some"], "some"),
            (["solve", "--target", 24, 1, 2, 3, "--max-threads", 0], "--max-threads"),
            (["evaluate"], "--problems"),
            (["generate", "problems"], "--count"),
            (["generate", "problems", "--count", 3, "--numbers", 9], "--numbers"),
            (["generate", "traces", "--count", 3, "--format", "records"], "records"),
            (["train", "sft"], "--out"),
            (["train", "sft", "--out", "x", "--rate", "fast"], "fast"),
            (["train", "sft", "--out", "x", "--rate", "1e30"], "--rate"),
            (["train", "sft", "--out", "x", "--rate", "inf"], "--rate"),
            (["train", "sft", "--out", "x", "--rate", "nan"], "--rate"),
            (["model", "info"], "--model"),
            (["solve", "--target", 24, 1, 2, 3, "--children", 4, "--token-budget", 512], "--token-budget: --children is given too"),
            (["evaluate", "--problems", "p", "--children", 0, "--token-budget", 512], "--token-budget: --children is given too"),
            (["train", "sft", "--out", "x", "--condition-tokens"], "--condition-tokens: --search apr has no token budgets"),
            (["generate", "traces", "--count", 3, "--condition-tokens"], "--condition-tokens: --search apr"),
            (["train", "sft", "--out", "x", "--search", "sos+", "--condition-children"], "--condition-children: only --search apr"),
            (["train", "sft", "--out", "x", "--search", "sos", "--first-success-share", 0.5], "--first-success-share: only --search apr"),
            (["train", "sft", "--out", "x", "--condition-share", 0.5], "--condition-share: there is no condition"),
            (["train", "sft", "--out", "x", "--search", "sos+", "--condition-tokens", "--condition-up-to", 9], "--condition-up-to"),
            (["train", "rl", "--out", "x", "--children", 4, "--token-budget", 512], "--token-budget: children are asked for too"),
            (["train", "rl", "--out", "x", "--children-between", "0:4", "--token-budget-between", "512:1024"], "--token-budget-between: children"),
            (["train", "rl", "--out", "x", "--children", 4, "--children-between", "0:4"], "--children-between: --children is given too"),
            (["train", "rl", "--out", "x", "--token-budget", 512, "--token-budget-between", "512:1024"], "--token-budget-between: --token-budget"),
            (["train", "rl", "--out", "x", "--token-budget-between", "600:700"], "--token-budget-between 600:700: no multiple of 512 lies between"),
            (["train", "rl", "--out", "x", "--condition-share", 0.5], "--condition-share: there is no condition"),
            (["train", "rl", "--out", "x", "--reward-threads", 0.2, "--reward-most", 0], "--reward-most: it is 0, so that no cost counts"),
            (["train", "rl", "--out", "x", "--listen", "0.0.0.0:0"], "--listen 0.0.0.0:0: others could reach it"),
        ]:
            with self.subTest(words=words):
                self.refused(2, *words, names=names)

    def test_bad_problems(self):
        for text, names in [
            ('{"nums": [1, 2, 3]}\n', "p.jsonl: line 1"),
            ('{"nums": [1, 2, 3], "target": 6}\nnonsense\n', "p.jsonl: line 2"),
            ('[{"nums": [1, 2, 3], "target": 6}, {"nums": [1]}]', "p.jsonl: element 2"),
            ("", "p.jsonl"),
            (DEEP, "p.jsonl: line 1"),
            (f"[{DEEP}]", "p.jsonl"),
        ]:
            with self.subTest(text=text[:60]):
                problems = self.write("p.jsonl", text)
                self.refused(2, "solve", "--problems", problems, names=names)
                if text:
                    self.refused(2, "generate", "problems", "--count", 1, "--exclude", problems, names=names)

    def test_a_byte_order_mark_is_no_fault(self):
        for text in ('[{"nums": [3, 5], "target": 15}]', '{"nums": [3, 5], "target": 15}\n'):
            done = banyan("generate", "traces", "--problems", self.write("p.jsonl", "\ufeff" + text))
            self.assertEqual((done.returncode, done.stderr, len(done.stdout.splitlines())), (0, "", 1))
        done = banyan("generate", "problems", "--config", self.write("b.conf", "\ufeffcount = 3\nnumbers = 2\n"))
        self.assertEqual((done.returncode, done.stderr, len(done.stdout.splitlines())), (0, "", 3))

    def test_traces_that_are_nested_without_end(self):
        self.refused(2, "train", "sft", "--out", self.folder / "run", *TINY, "--traces", self.write("t.jsonl", DEEP),
                     names="t.jsonl: line 1")

    def test_what_is_not_there(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        nowhere = self.folder / "nowhere"
        for words in [
            ["solve", "--problems", nowhere],
            ["solve", "--target", 54, 25, 7, 3, "--model", nowhere],
            ["evaluate", "--problems", problems, "--model", nowhere],
            ["generate", "problems", "--count", 1, "--out", nowhere / "p"],
            ["train", "sft", "--config", nowhere],
            ["train", "sft", "--out", problems / "nowhere"],
            ["train", "sft", "--out", self.folder / "run", "--model", nowhere],
            ["model", "info", nowhere],
        ]:
            with self.subTest(words=words):
                self.refused(3, *words, names="nowhere")
        self.refused(3, "solve", "--target", 54, 25, 7, 3, names="BANYAN_MODELS",
                     env={**os.environ, "BANYAN_MODELS": str(nowhere)})

    def test_a_place_that_cannot_be_written_is_told_by_its_own_name(self):
        place, problems = self.folder / "nowhere" / "x", self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        for words in (["generate", "problems", "--count", 1, "--numbers", 3, "--out"],
                      ["generate", "traces", "--count", 1, "--numbers", 3, "--format", "records", "--out"],
                      ["evaluate", "--problems", problems, "--results"]):
            with self.subTest(words=words):
                done = self.refused(3, *words, place, names="No such file or directory; check the name")
                self.assertTrue(done.stderr.startswith(f"banyan: {place}: "), done.stderr)
                self.assertNotIn(".tmp-", done.stderr)
        below_a_file = problems / "model"
        done = self.refused(3, "train", "sft", "--out", below_a_file, *TINY, "--steps", 1, names="Not a directory")
        self.assertTrue(done.stderr.startswith(f"banyan: {problems}"), done.stderr)
        self.assertNotIn(".tmp-", done.stderr)

    def test_a_device_that_is_not_there(self):
        self.refused(3, "solve", "--target", 54, 25, 7, 3, "--device", "cuda:77", names="cuda:77")

    def test_standard_output_without_room(self):
        with open(self.full_device(), "w") as full:
            done = subprocess.run([BANYAN, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 3)
        self.assertIn("No space left", done.stderr)

    def test_a_reader_that_leaves(self):
        problems = self.folder / "p.jsonl"
        banyan("generate", "problems", "--count", 2000, "--numbers", 3, "--out", problems)
        for words in (["generate", "problems", "--count", 20000, "--numbers", 3],
                      ["generate", "problems", "--count", 20000, "--numbers", 3, "--out", "/dev/stdout"],
                      ["solve", "--problems", problems, "--json", "--quiet", "--max-tokens", 5]):
            with self.subTest(words=words):
                writer = subprocess.Popen([BANYAN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                writer.stdout.readline()
                writer.stdout.close()
                self.assertEqual(writer.wait(60), 141)
                self.assertEqual(writer.stderr.read(), b"")
                writer.stderr.close()

    def test_a_reader_that_leaves_at_the_end_has_everything(self):
        writer = subprocess.Popen([BANYAN, "generate", "problems", "--count", "2", "--numbers", "3"], stdout=subprocess.PIPE)
        writer.wait(60)
        writer.stdout.close()
        self.assertEqual(writer.returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
