#!/usr/bin/env python3
"""train_sft_cli_test.py BANYAN [TEST…]: runs of supervised training: what they leave, and how they go on."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import unittest

from cli_case import BANYAN, TINY, banyan, cli_case
from daemon import MODEL


class train_sft(cli_case):
    def run_of(self, name, *words):
        return banyan("train", "sft", "--out", self.folder / name, *TINY, *words)

    def test_a_run_leaves_what_repeats_it(self):
        done = self.run_of("a", "--steps", 4, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        steps = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([s["step"] for s in steps], [1, 2, 3, 4, 4])
        self.assertTrue(steps[-1]["finished"])
        last = self.folder / "a" / "last"
        for name in ("config.json", "model.safetensors", "tokenizer.json", "banyan.json"):
            self.assertTrue((last / name).exists(), name)
        again = banyan("train", "sft", "--config", self.folder / "a" / "train.conf", "--out", self.folder / "b")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual((last / "model.safetensors").read_bytes(),
                         (self.folder / "b" / "last" / "model.safetensors").read_bytes())

    def test_a_resumed_run_ends_like_one_that_was_not_stopped(self):
        self.run_of("whole", "--steps", 6, "--decay", "none")
        self.run_of("parts", "--steps", 3, "--decay", "none")
        self.refused(2, "train", "sft", "--out", self.folder / "parts", "--steps", 6, names="parts")
        done = banyan("train", "sft", "--out", self.folder / "parts", "--resume", "--steps", 6)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "whole" / "last" / "model.safetensors").read_bytes(),
                         (self.folder / "parts" / "last" / "model.safetensors").read_bytes())

    def resume(self, name, *words, **more):
        return banyan("train", "sft", "--out", self.folder / name, "--resume", *words, **more)

    def test_a_run_killed_before_its_first_checkpoint_goes_on(self):
        words = ["--decay", "none", "--checkpoint-every", "0"]
        self.run_of("whole", "--steps", 6, *words)
        run = subprocess.Popen([BANYAN, "train", "sft", "--out", str(self.folder / "parts"), *TINY, *words,
                                "--steps", "1000000", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)
        self.addCleanup(run.stdout.close)
        for _ in range(3):
            run.stdout.readline()
        run.kill()
        run.wait()
        self.assertEqual(os.readlink(self.folder / "parts" / "last"), "step-000000")
        done = self.resume("parts", "--steps", 6)
        self.assertEqual(done.returncode, 0, done.stderr)
        losses = [[json.loads(line)["loss"] for line in (self.folder / name / "log.jsonl").read_text().splitlines()]
                  for name in ("whole", "parts")]
        self.assertEqual(*losses)

    def test_what_cannot_be_resumed_is_refused_and_stays_as_it_was(self):
        self.refused(3, "train", "sft", "--out", self.folder / "none", "--resume", names="nothing to resume")
        self.assertFalse((self.folder / "none").exists())
        self.run_of("a", "--steps", 2)
        config = self.folder / "a" / "train.conf"
        state = self.folder / "a" / "last" / "trainer.json"
        before, whole = config.read_text(), state.read_text()
        state.write_text("{}")
        resume = ["train", "sft", "--out", self.folder / "a", "--resume"]
        self.refused(3, *resume, "--rate", "5e-5", names="trainer.json")
        self.assertEqual(config.read_text(), before)
        state.write_text(whole)
        lines = before.splitlines(keepends=True)
        rate = next(line for line in lines if line.startswith("rate = "))
        for damaged in ("", before[:len(before) // 2], before.replace(rate, ""), before.replace(rate, "#" + rate),
                        before.replace(rate, "rite" + rate[4:]), before.replace(rate, "rate = x\n")):
            config.write_text(damaged)
            self.refused(3, *resume, names="train.conf")
        config.unlink()
        self.refused(3, *resume, names="train.conf")
        config.write_text(before)
        self.assertEqual(self.resume("a", "--steps", 3).returncode, 0)
        self.assertIn("past its end", self.resume("a", "--steps", 3, "--quiet").stderr)
        self.assertEqual(self.resume("a", "--steps", 3, "--quiet", "--log-level", "error").stderr, "")

    def lets_go_on(self, name, *words, steps):
        """A run whose `last` is no link is refused either way; the command that is told mends that."""
        out = self.folder / name
        kept = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
        self.refused(2, *words, "--steps", steps, names="it holds a run already")
        told = self.refused(3, *words, "--resume", "--steps", steps, names=str(out / "last")).stderr
        self.assertEqual({file: file.read_bytes() for file in out.rglob("*") if file.is_file()}, kept)
        subprocess.run(re.search("`(.+)`", told).group(1), shell=True, check=True)
        done = banyan(*words, "--resume", "--steps", steps)
        self.assertEqual(done.returncode, 0, done.stderr)
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in log], list(range(1, steps + 1)))
        self.assertEqual(os.readlink(out / "last"), f"step-{steps:06}")

    def test_a_copied_run_is_neither_begun_anew_nor_lost(self):
        def copy(name):
            shutil.copytree(self.folder / "a", self.folder / name)  # follows links, as cp -rL does

        words = ["--checkpoint-every", 2, *TINY]
        self.assertEqual(banyan("train", "sft", "--out", self.folder / "a", "--steps", 4, *words).returncode, 0)
        copy("followed")
        copy("without")
        shutil.rmtree(self.folder / "without" / "last")
        copy("cut")
        shutil.rmtree(self.folder / "cut" / "last")
        weights = self.folder / "cut" / "step-000004" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        copy("alone")
        for step in ("step-000002", "step-000004"):
            shutil.rmtree(self.folder / "alone" / step)
        for name in ("followed", "without", "cut", "alone"):
            with self.subTest(name):
                self.lets_go_on(name, "train", "sft", "--out", self.folder / name, *words, steps=6)

    def test_a_value_that_is_no_number_names_its_file_and_the_way_back(self):
        for name in ("trainer.safetensors", "model.safetensors"):
            with self.subTest(name):
                run = self.folder / f"a run for {name}"
                self.assertEqual(self.run_of(run.name, "--steps", 2, "--checkpoint-every", 1).returncode, 0)
                (run / "last" / name).write_bytes((run / "last" / name).read_bytes()[:-4] + b"\0\0\xc0\x7f")
                resume = ["train", "sft", "--out", run, "--resume", "--steps", 3]
                told = self.refused(3, *resume, names=f"{name}: ").stderr
                self.assertIn("has values that are not finite; go back to an earlier checkpoint (`ln -sfn step-000001 ", told)
                subprocess.run(re.search("`(.+)`", told).group(1), shell=True, check=True)
                done = banyan(*resume)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(os.readlink(run / "last"), "step-000003")

    def test_time_that_is_over_before_a_step_is_told_and_not_called_finished(self):
        done = self.run_of("a", "--minutes", "1e-9", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        end = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((end["step"], end["finished"]), (0, False))
        self.assertEqual(done.stderr.count("--minutes were over before the first step"), 1)

    def test_a_folder_with_nothing_but_a_log_is_no_place_for_a_new_run(self):
        (self.folder / "a").mkdir()
        self.write("a/log.jsonl", '{"step": 1}\n')
        self.refused(2, "train", "sft", "--out", self.folder / "a", "--steps", 1, *TINY, names="it holds a run already")
        self.refused(3, "train", "sft", "--out", self.folder / "a", "--resume", names="begin a run in another --out")

    def test_steps_that_were_skipped_are_told(self):
        # The first step's decay throws the weights so far that no loss is a number from then on.
        done = self.run_of("a", "--steps", 3, "--optimizer", "adamw", "--adamw-decay", "1e30")
        self.assertEqual(done.returncode, 0, done.stderr)
        for step in (2, 3):
            self.assertRegex(done.stderr, f"banyan: step {step}: the loss is not finite; the step is skipped")
        self.assertIn("banyan: 2 of 3 steps were skipped", done.stderr)

    def test_a_disk_that_gets_full_names_the_checkpoint_to_go_on_from(self):
        def little_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        self.run_of("a", "--steps", 1)
        limit = (self.folder / "a" / "last" / "model.safetensors").stat().st_size - 1
        self.refused(3, "train", "sft", "--out", self.folder / "a", "--resume", "--steps", 2, "--quiet",
                     names="--resume goes on from step-000001", preexec_fn=little_room)

    def test_a_run_has_its_folder_for_itself(self):
        run = subprocess.Popen([BANYAN, "train", "sft", "--out", str(self.folder / "a"), *TINY, "--steps", "1000000", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.kill)
        run.stdout.readline()
        config = (self.folder / "a" / "train.conf").read_text()
        self.refused(3, "train", "sft", "--out", self.folder / "a", "--resume", "--steps", 5, names="another run or a banyand uses it")
        self.assertEqual((self.folder / "a" / "train.conf").read_text(), config)
        run.kill()
        run.wait()
        done = self.resume("a", "--steps", 1, "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_options_that_cannot_change_are_refused_and_the_config_stays_true(self):
        self.run_of("a", "--steps", 4)
        out, config = self.folder / "a", self.folder / "a" / "train.conf"
        before = config.read_text()
        resume = ["train", "sft", "--out", out, "--resume"]
        self.refused(2, *resume, "--hidden", 64, names="--hidden: it is 64, and 16 of the weights")
        self.refused(2, *resume, "--model", MODEL, names="--model: the run was begun with nothing")
        self.refused(2, "train", "sft", "--out", self.folder / "b", "--model", out / "last", "--hidden", 64,
                     names="--hidden: it is 64, and 16 of the weights")
        self.assertFalse((self.folder / "b").exists())
        done = self.resume("a", "--steps", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the run is at step 4 and past its end", done.stderr)
        self.assertEqual(config.read_text(), before)
        done = self.resume("a", "--steps", 5, "--rate", "0.001")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resumed with --rate 0.001 (was 0.004), --steps 5 (was 4)", done.stderr)
        self.assertIn("steps = 5\n", config.read_text())
        done = banyan("train", "sft", "--out", self.folder / "c", "--model", out / "last", "--steps", 1, "--threads", 1,
                      "--trees", "1:1", "--drill-rows", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hidden = 16\n", (self.folder / "c" / "train.conf").read_text())

    def test_a_config_with_paths_means_the_same_from_elsewhere(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        done = banyan("train", "sft", "--out", "a", *TINY, "--steps", 2, "--evaluate-every", 2, "--context", 64,
                      "--evaluate-problems", problems.name, "--exclude", problems.name, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"--context: of 64 demonstrations the longest has \d+ tokens, and the model's context 64: ")
        self.assertEqual(self.resume("a", "--steps", 4).returncode, 0)
        roomy = banyan("train", "sft", "--out", "b", *TINY, "--steps", 1, cwd=self.folder)
        self.assertEqual(roomy.returncode, 0, roomy.stderr)
        self.assertNotIn("--context", roomy.stderr)

    def test_a_run_whose_reader_leaves_ends_in_order(self):
        self.leaves_in_order(self.folder / "a", "sft", *TINY, "--steps", 1000000)

    def test_ctrl_c_writes_a_checkpoint(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.folder / number.name
            run = subprocess.Popen([BANYAN, "train", "sft", "--out", str(out), *TINY, "--steps", "1000000", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            run.stdout.readline()
            run.send_signal(number)
            self.addCleanup(run.stdout.close)
            self.addCleanup(run.stderr.close)
            self.assertEqual(run.wait(60), code)
            self.assertTrue((out / "last" / "model.safetensors").exists())

    def test_demonstrations_from_files(self):
        traces = self.folder / "t.json"
        banyan("generate", "traces", "--count", 5, "--numbers", 3, "--max-result", 199, "--out", traces)
        done = self.run_of("a", "--steps", 3, "--traces", traces, "--numbers", 4)  # of those that are drawn
        self.assertEqual(json.loads((self.folder / "a" / "last" / "banyan.json").read_text())["numbers"], [3])
        self.assertEqual(done.returncode, 0, done.stderr)
        broken = self.write("broken.jsonl", '{"nums": [1, 2], "target": 3}\n')
        self.refused(2, "train", "sft", "--out", self.folder / "b", *TINY, "--traces", broken, names="broken.jsonl: line 1")
        told = banyan("generate", "traces", "--count", 100, "--numbers", 3, "--format", "jsonl").stdout
        foreign = self.write("foreign.jsonl", told.replace("Exploring", "Probing"))
        self.refused(2, "train", "sft", "--out", self.folder / "b", *TINY, "--traces", foreign, names="cannot express 'P'")
        self.assertFalse((self.folder / "b").exists())

    def test_problems_that_are_all_held_out(self):
        banyan("generate", "problems", "--numbers", 2, "--count", 6823, "--out", self.folder / "all.jsonl")
        self.refused(2, "train", "sft", "--out", self.folder / "b", *TINY, "--numbers", 2, "--exclude",
                     self.folder / "all.jsonl", names="--numbers 2: no problem that can be solved")

    def test_a_run_that_goes_on_is_named_on_the_command_line(self):
        self.run_of("a", "--steps", 2, "--seed", 7)
        before = (self.folder / "a" / "train.conf").read_text()
        own = self.folder / "banyan" / "banyan.conf"
        own.parent.mkdir()
        own.write_text(f"[train sft]\nout = {self.folder / 'a'}\nsteps = 4\n")
        self.refused(2, "train", "sft", "--resume", names=f"add --out {self.folder / 'a'}",
                     env={**os.environ, "XDG_CONFIG_HOME": str(self.folder)})
        self.assertEqual((self.folder / "a" / "train.conf").read_text(), before)

    def test_the_run_evaluates_on_real_problems(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n{"nums": [1, 2, 4], "target": 12}\n')
        done = self.run_of("a", "--steps", 2, "--evaluate-every", 2, "--evaluate-problems", problems, "--context", 64)
        self.assertEqual(done.returncode, 0, done.stderr)
        log = [json.loads(line) for line in (self.folder / "a" / "log.jsonl").read_text().splitlines()]
        evals = [line["eval"] for line in log if "eval" in line]
        self.assertEqual({e["problems"] for e in evals}, {2})
        again = banyan("train", "sft", "--out", self.folder / "a", "--resume")
        self.assertEqual(again.returncode, 0, again.stderr)
        lines = (self.folder / "a" / "log.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line) for line in lines], log)  # what is done is not done again
        for e in evals:  # two ways to compute the same never agree to the last bit
            self.assertGreater(e["logprob_gap_max"], 0)
            self.assertLess(e["logprob_gap_max"], 1e-4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
