#!/usr/bin/env python3
"""train_rl_cli_test.py BANYAN [TEST…]: runs of reinforcement learning: what they leave, and how they go on."""

import json
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import threading
import unittest
import urllib.error
import urllib.request

from cli_case import BANYAN, banyan, cli_case
from daemon import MODEL, SOURCE, daemon, wait_for


class train_rl(cli_case):
    # Few trees, and OS threads whose sums do not depend on who was first.
    FEW = ["--model", MODEL, "--prompts", "2", "--group", "4", "--threads", "1", "--pool-threads", "1", "--seed", "3"]

    def run_of(self, name, *words):
        return banyan("train", "rl", "--out", self.folder / name, *self.FEW, *words)

    def weights(self, name):
        return (self.folder / name / "last" / "model.safetensors").read_bytes()

    def test_a_long_step_says_how_far_it_is(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(self.folder / "rl"), "--model", MODEL, "--prompts", "64", "--group", "64",
                                "--steps", "1"], stdout=subprocess.DEVNULL, stderr=slave, env={**os.environ, "TERM": "xterm"})
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        os.close(slave)
        seen = ""
        while not re.search(r"step 1: \d+ trees being rolled out, \d+ to come; 0:\d\d since the start", seen):
            self.assertIsNone(run.poll(), seen)
            if select.select([master], [], [], 1)[0]:
                seen += os.read(master, 4096).decode()

    def test_a_run_whose_reader_leaves_ends_in_order(self):
        self.leaves_in_order(self.folder / "rl", "rl", "--model", MODEL, "--prompts", 2, "--group", 2, "--max-tokens", 300, "--max-groups", 1,
                             "--steps", 100000)

    def test_a_run_logs_what_is_promised_and_leaves_a_model(self):
        done = self.run_of("a", "--steps", 3, "--json", "--rate", "1e-3")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertTrue(lines[-1]["finished"])
        log = [json.loads(line) for line in (self.folder / "a" / "log.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in log], [1, 2, 3])
        for name in ("step", "loss", "lr", "grad_norm", "tokens", "tokens_per_s", "elapsed_s", "reward_mean",
                     "children_mean", "kl", "entropy", "logprob_gap_max", "staleness_mean", "rollout_s", "train_s",
                     "publish_ms"):
            self.assertIsInstance(log[0][name], (int, float), name)
        self.assertLess(max(line["logprob_gap_max"] for line in log), 1e-4)
        self.assertNotEqual(self.weights("a"), (MODEL / "model.safetensors").read_bytes())
        solved = banyan("solve", "--model", self.folder / "a" / "last", "--target", 54, 25, 7, 36, "--json")
        self.assertEqual(solved.returncode, 0, solved.stderr)
        again = banyan("train", "rl", "--config", self.folder / "a" / "train.conf", "--out", self.folder / "b")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.weights("a"), self.weights("b"))

    def test_steps_and_evaluations_are_told_as_the_log_has_them(self):
        problems = self.write("p.jsonl", '{"nums": [25, 7, 3], "target": 54}\n')
        few = ["--max-groups", "1", "--steps", 2, "--evaluate-every", 1, "--evaluate-problems", problems]
        done = self.run_of("a", *few, "--json", "--quiet")
        log = (self.folder / "a" / "log.jsonl").read_text().splitlines()
        self.assertEqual(["eval" in json.loads(line) for line in log], [False, True, False, True])
        self.assertEqual(done.stdout.splitlines()[:-1], log)
        for_people = self.run_of("b", *few)  # less often, but not without how it ended
        self.assertRegex(for_people.stderr, r"(?m)^step 2 \[#+\] 100%")

    def test_a_log_that_cannot_be_read_is_told_as_that(self):
        self.assertEqual(self.run_of("a", "--max-groups", "1", "--steps", 1).returncode, 0)
        log = self.folder / "a" / "log.jsonl"
        log.unlink()
        log.mkdir()
        self.refused(3, "train", "rl", "--out", self.folder / "a", "--resume", "--steps", 2, names="log.jsonl: Is a directory; ")

    def kill_after(self, steps, name, *words):
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(self.folder / name), *map(str, self.FEW),
                                *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(run.stdout.close)
        for _ in range(steps):
            run.stdout.readline()
        run.kill()
        run.wait()

    def test_a_step_at_its_most_groups_is_the_same_after_a_kill(self):
        words = ["--steps", "2", "--max-groups", "1", "--checkpoint-every", "0"]
        self.assertEqual(self.run_of("whole", *words).returncode, 0)
        self.kill_after(1, "parts", *words)
        done = banyan("train", "rl", "--out", self.folder / "parts", "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        logs = [[json.loads(line) for line in (self.folder / name / "log.jsonl").read_text().splitlines()]
                for name in ("whole", "parts")]
        self.assertLess(logs[0][0]["groups"]["informative"], logs[0][0]["groups"]["all"])  # or this shows nothing
        self.assertEqual(*([(line["groups"], line["trees"], line["loss"]) for line in log] for log in logs))
        self.assertEqual(self.weights("parts"), self.weights("whole"))

    def test_a_killed_run_goes_on_as_if_it_had_not_been(self):
        self.goes_on_after_a_kill()

    def test_a_killed_run_goes_on_where_rollouts_run_far_ahead(self):
        self.goes_on_after_a_kill("--staleness", "3")

    def goes_on_after_a_kill(self, *more):
        self.assertEqual(self.run_of("whole", "--steps", 5, *more).returncode, 0)
        words = ["--steps", "5", "--checkpoint-every", "1", *more]
        self.kill_after(3, "parts", *words)
        self.refused(2, "train", "rl", "--out", self.folder / "parts", *self.FEW, *words, names="parts")
        done = banyan("train", "rl", "--out", self.folder / "parts", "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.weights("parts"), self.weights("whole"))
        losses = [[json.loads(line)["loss"] for line in (self.folder / name / "log.jsonl").read_text().splitlines()]
                  for name in ("whole", "parts")]
        self.assertEqual(*losses)

    def test_a_resumed_run_keeps_its_start_and_its_folder(self):
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(self.folder / "a"), *map(str, self.FEW), "--steps",
                                "1000", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.kill)
        run.stdout.readline()
        resume = ["train", "rl", "--out", self.folder / "a", "--resume"]
        log = (self.folder / "a" / "log.jsonl").read_text()
        self.refused(3, *resume, names="another run or a banyand uses it")
        self.assertTrue((self.folder / "a" / "log.jsonl").read_text().startswith(log))
        run.kill()
        run.wait()
        config = (self.folder / "a" / "train.conf").read_text()
        self.refused(2, *resume, "--model", SOURCE / "models" / "baselines" / "countdown-3-sft", names="--model")
        self.assertEqual((self.folder / "a" / "train.conf").read_text(), config)
        last = self.folder / "a" / "last"
        gone = os.readlink(last)
        shutil.rmtree(self.folder / "a" / gone)
        (self.folder / "a" / "step-000777").mkdir()
        self.refused(3, *resume, names="step-000777 is still there")
        last.unlink()
        self.refused(2, *resume[:-1], names="it holds a run already")
        self.refused(3, *resume, names="the link to the newest checkpoint is missing")

    def test_ctrl_c_writes_a_checkpoint(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.folder / number.name
            run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(out), *map(str, self.FEW), "--steps", "1000",
                                    "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            run.stdout.readline()
            for _ in range(2):  # as `timeout` does, to a process and to its group
                run.send_signal(number)
            _, errors = run.communicate(timeout=120)
            self.assertEqual(run.returncode, code, errors)
            self.assertTrue((out / "last" / "model.safetensors").exists())
            self.assertIn("--resume", errors)

    def test_a_terminal_that_closes_ends_a_run_in_order(self):
        out = self.folder / "a"
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(out), *map(str, self.FEW), "--steps", "1000", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run.stdout.readline()
        run.send_signal(signal.SIGHUP)
        _, errors = run.communicate(timeout=120)
        self.assertEqual(run.returncode, 129, errors)
        self.assertNotEqual(os.readlink(out / "last"), "step-000000")

    def test_an_evaluation_that_is_broken_off_is_told_and_made_up_for(self):
        problems = self.folder / "p.jsonl"
        banyan("generate", "problems", "--numbers", 3, "--count", 2000, "--seed", 9, "--out", problems)
        words = [*self.FEW, "--max-groups", "1", "--steps", 1, "--evaluate-every", 1, "--evaluate-problems", problems]
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(self.folder / "a"), *map(str, words), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)
        self.assertEqual(run.returncode, 130, errors)
        self.assertIn("stopped before its last evaluation; ", errors)

    @unittest.skipUnless(shutil.which("gnuplot"), "draws with gnuplot")
    def test_a_run_without_kl_and_gaps_has_a_picture_too(self):
        done = self.run_of("a", "--max-groups", "1", "--steps", 3, "--kl", 0, "--gap-trees", 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        picture = (self.folder / "a" / "curve.svg").read_text()
        self.assertIn("children a tree", picture)
        self.assertNotIn("largest logprob gap", picture)

    def test_a_folder_of_any_name_can_be_told_as_json(self):
        out = os.fsencode(self.folder) + b"/bad\xff"
        done = subprocess.run([os.fsencode(BANYAN), b"train", b"rl", b"--out", out, *[str(w).encode() for w in self.FEW], b"--max-groups", b"1",
                               b"--steps", b"1", b"--json", b"--quiet"], capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(json.loads(done.stdout.splitlines()[-1])["finished"])

    def test_commands_that_mend_a_run_can_be_pasted(self):
        out = self.folder / "my run"
        self.assertEqual(self.run_of("my run", "--max-groups", "1", "--steps", 1).returncode, 0)
        (out / "last").unlink()
        told = self.refused(3, "train", "rl", "--out", out, "--resume", names="ln -sfn").stderr
        subprocess.run(["sh", "-c", re.search("`(ln -sfn [^`]+)`", told).group(1)], check=True)
        self.assertEqual(banyan("train", "rl", "--out", out, "--resume").returncode, 0)

    def test_trees_that_others_posted_outlive_a_run_however_it_ends(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(number):
                self.trees_outlive_a_run(self.folder / number.name, number)

    def served(self, out, *words):
        """A run that serves, and its address."""
        run = subprocess.Popen([BANYAN, "train", "rl", "--out", str(out), *map(str, words), "--listen", "127.0.0.1:0"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        line = next(line for line in run.stderr if "serving " in line)
        return run, re.search("http://[0-9.:]+", line).group()

    def model_of(self, url):
        with urllib.request.urlopen(url + "/v1/models") as answer:
            return json.load(answer)["data"][0]["id"]

    def trees_outlive_a_run(self, out, number):
        run, url = self.served(out, *self.FEW, "--steps", "1000", "--checkpoint-every", "1")
        body = {"problem": {"numbers": [3, 5, 7], "target": 22}, "labels": {"member": "anna", "step": "1"}, "wait": False}
        wish = urllib.request.Request(url + "/v1/trees", json.dumps(body).encode(), {"Content-Type": "application/json"})
        names = set()
        for _ in range(50):
            with urllib.request.urlopen(wish) as answer:
                names.add(json.load(answer)["id"])
        model = self.model_of(url)
        run.send_signal(number)
        told = run.communicate(timeout=120)[1]
        if number == signal.SIGTERM:
            self.assertRegex(told, r"\d+ trees? of others (is|are) not finished; `banyand --data-dir ")
        _, url = self.served(out, "--resume")
        self.assertEqual((model, self.model_of(url)), (out.name, out.name))
        with urllib.request.urlopen(f"{url}/v1/trees?limit=100&label=member=anna") as answer:
            trees = json.load(answer)["trees"]
        self.assertEqual({tree["id"] for tree in trees}, names)
        self.assertNotIn("cancelled", [tree["state"] for tree in trees])
        self.assertIn("running", [tree["state"] for tree in trees])  # or all had ended before
        self.assertEqual(trees[0]["labels"], body["labels"])

    def test_a_daemon_on_the_folder_of_a_run_leaves_its_rollouts_to_it(self):
        run, url = self.served(self.folder / "data", "--model", MODEL, "--prompts", 64, "--group", 64, "--threads", 1, "--pool-threads", 1)

        def running(url):
            with urllib.request.urlopen(url + "/v1/trees?state=running&limit=5") as answer:
                return json.load(answer)["trees"]
        wait_for(lambda: running(url), "a rollout runs")
        run.kill()
        run.wait()
        with daemon(pathlib.Path(BANYAN).with_name("banyand"), self.folder) as one:
            self.assertEqual(running(one.url), [])

    def test_the_trees_of_a_daemon_are_no_place_for_a_run(self):
        with daemon(pathlib.Path(BANYAN).with_name("banyand"), self.folder) as one:
            wish = urllib.request.Request(one.url + "/v1/trees", json.dumps({"problem": {"numbers": [3, 5, 7], "target": 22}}).encode(),
                                          {"Content-Type": "application/json"})
            urllib.request.urlopen(wish).close()
            self.assertEqual(one.stop(), 0)
        self.refused(2, "train", "rl", "--out", self.folder / "data", *self.FEW, names="trees that are not of a run")

    def test_a_completion_that_the_end_of_a_run_breaks_off_is_told(self):
        run, url = self.served(self.folder / "a", *self.FEW, "--steps", 100000)
        body = {"prompt": "Moving to Node #0\n", "stream": True, "n": 64, "temperature": 1.9, "max_tokens": 1900}
        wish = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(wish) as answer:
            answer.readline()
            run.send_signal(signal.SIGTERM)
            self.assertIn('"error"', answer.read().decode().strip().splitlines()[-1])

    def test_time_that_is_over_before_the_first_trees_is_told_and_not_called_finished(self):
        done = self.run_of("a", "--minutes", "1e-4", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        end = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((end["step"], end["finished"]), (0, False))
        self.assertEqual(done.stderr.count("--minutes were over before the first step"), 1)

    def test_deadlines_that_no_tree_meets_are_told_as_what_they_are(self):
        self.refused(3, *map(str, ["train", "rl", "--out", self.folder / "a", *self.FEW, "--deadline", "0.001", "--max-groups", 1,
                                   "--max-attempts", 1, "--quiet"]),
                     names="trees were late; give a larger --deadline or a smaller --concurrency")

    def test_who_steers_a_tree_of_a_run_is_logged_with_its_id(self):
        run, url = self.served(self.folder / "a", *self.FEW, "--steps", 1000)

        def post(path, body):
            wish = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(wish) as answer:
                return json.load(answer)
        name = post("/v1/trees", {"problem": {"numbers": [3, 5, 7], "target": 22}, "wait": False})["id"]
        post(f"/v1/trees/{name}/cancel", {})
        run.send_signal(signal.SIGINT)
        self.assertIn(f"banyan: [{name}] ", run.communicate(timeout=120)[1])

    def test_that_a_step_waits_for_a_paused_tree_is_told(self):
        run, url = self.served(self.folder / "a", "--model", MODEL, "--prompts", 64, "--group", 64, "--deadline", 0, "--quiet")

        def first_running():
            with urllib.request.urlopen(url + "/v1/trees?state=running&limit=1") as answer:
                trees = json.load(answer)["trees"]
                return trees and trees[0]["id"]

        def one_is_paused():
            if not (name := first_running()):
                return False
            wish = urllib.request.Request(f"{url}/v1/trees/{name}/pause", b'{"thread": "/"}', {"Content-Type": "application/json"})
            try:
                urllib.request.urlopen(wish).close()
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 409)  # it had just ended
                return False
            return True
        wait_for(one_is_paused, "a rollout is paused")
        killer = threading.Timer(60, run.kill)  # where the line never comes
        killer.start()
        self.addCleanup(killer.cancel)
        self.assertIn("paused; a step that has one", next((line for line in run.stderr if "paused" in line), "nothing"))

    def test_a_file_at_its_limit_is_an_error_of_its_write(self):
        def no_room():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        self.refused(3, "train", "rl", "--out", self.folder / "a", *self.FEW, names="File too large", preexec_fn=no_room)

    def test_a_run_has_all_that_it_needs_in_its_folder(self):
        shutil.copytree(MODEL, self.folder / "m")
        words = ["--prompts", 2, "--group", 4, "--threads", 1, "--pool-threads", 1, "--max-groups", 1]
        (self.folder / "a" / "reference").mkdir(parents=True)  # of a run before
        (self.folder / "a" / "reference" / "config.json").write_text("{}")
        problems = self.write("p.jsonl", '{"nums": [25, 7, 36], "target": 54}\n{"nums": [3, 5, 7], "target": 22}\n')
        done = banyan("train", "rl", "--out", "a", "--model", "m", "--problems", problems.name, *words, "--steps", 1,
                      cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        config = (self.folder / "a" / "train.conf").read_text().splitlines()
        for line in (f"model = {self.folder / 'm'}", "pool-device = cpu", "threads = 1"):
            self.assertIn(line, config)
        shutil.rmtree(self.folder / "m")
        done = banyan("train", "rl", "--out", self.folder / "a", "--resume", "--steps", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        reference = self.folder / "a" / "reference" / "model.safetensors"
        self.assertEqual(reference.read_bytes(), (MODEL / "model.safetensors").read_bytes())
        self.assertEqual(json.loads((reference.parent / "banyan.json").read_text()), json.loads((MODEL / "banyan.json").read_text()))
        (self.folder / "a" / "last").unlink()
        (self.folder / "a" / "last").symlink_to("step-000001")
        reference.write_bytes(reference.read_bytes()[:-1])
        told = self.refused(3, "train", "rl", "--out", self.folder / "a", "--resume", "--steps", 3, names=str(reference)).stderr
        self.assertNotIn("ln -sfn", told)  # step-000002 is whole, and has no other reference
        bent = bytearray((MODEL / "model.safetensors").read_bytes())
        bent[-1] ^= 1
        reference.write_bytes(bent)
        self.refused(3, "train", "rl", "--out", self.folder / "a", "--resume", "--steps", 3, names="it is not as it was written")

    def any_task(self):
        """A model that does not say what it was trained for."""
        shutil.copytree(MODEL, self.folder / "any", ignore=shutil.ignore_patterns("banyan.json"))
        return self.folder / "any"

    def all_of_two(self):
        banyan("generate", "problems", "--numbers", 2, "--count", 6823, "--out", self.folder / "all.jsonl")
        return self.folder / "all.jsonl"

    def test_what_makes_no_sense_is_refused(self):
        out = ["train", "rl", "--out", self.folder / "x"]
        unsolvable = self.write("u.jsonl", '{"nums": [1, 1, 1], "target": 100}\n')
        five = self.write("five.jsonl", '{"nums": [1, 2, 3, 4, 5], "target": 15}\n')
        for words, names in (
            (["train", "rl"], "--out"),
            ([*out, "--group", "1"], "--group"),
            ([*out, "--temperature", "0"], "--temperature"),
            ([*out, "--top-k", "5"], "--top-k"),
            ([*out, "--evaluate-every", "5"], "--evaluate-every"),
            ([*out, "--children-between", "5:2"], "--children-between"),
            ([*out, "--listen", "nonsense"], "--listen"),
            ([*out, "--prompts", "16384", "--max-groups", "5"], "--prompts"),
            ([*out, "--steps", "5", "--minutes", "5"], "--minutes"),
            ([*out, "--problems", unsolvable], "u.jsonl"),
            ([*out, "--problems", five], "five.jsonl"),
            ([*out, "--problems", "-"], "--problems"),
            ([*out, "--problems", "/dev/stdin"], "--problems"),
            ([*out, "--evaluate-problems", five, "--evaluate-every", "1"], "five.jsonl"),
            ([*out, "--numbers", "2", "--model", self.any_task(), "--exclude", self.all_of_two()], "--numbers 2"),
            ([*out, "--beta2", "1"], "--beta2"),
            ([*out, "--numbers", "5"], "--numbers 5"),
        ):
            self.refused(2, *words, names=names)
        self.assertFalse((self.folder / "x").exists())

    def test_a_bad_environment_is_told(self):
        self.refused(3, "train", "rl", "--out", self.folder / "x", "--model", self.folder / "none", names="none")
        self.refused(3, "train", "rl", "--out", self.folder / "x", "--device", "cuda:77", names="cuda:77")
        self.refused(3, "train", "rl", "--out", self.folder / "x", "--pool-device", "cuda:77", names="--pool-device cuda:77")
        self.assertFalse((self.folder / "x").exists())
        self.refused(3, "train", "rl", "--out", self.folder / "x", "--resume", names="nothing to resume")
        self.assertFalse((self.folder / "x").exists())
        blocked = self.write("file", "")
        self.refused(3, "train", "rl", "--out", blocked / "x", names="file")
        self.assertEqual(self.run_of("a", "--steps", 1).returncode, 0)
        (self.folder / "a" / "last" / "trainer.json").write_text("{}")
        self.refused(3, "train", "rl", "--out", self.folder / "a", "--resume", "--steps", 2, names="trainer.json")
        (self.folder / "a" / "trees.db").write_bytes(b"no database" * 1000)
        self.refused(3, "train", "rl", "--out", self.folder / "a", "--resume", "--steps", 2, names="a")


if __name__ == "__main__":
    unittest.main(verbosity=2)
