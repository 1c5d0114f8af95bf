#!/usr/bin/env python3
"""daemon_test.py BANYAND [TEST…]: a real daemon's begin, life and end, as its operators and its service manager meet them."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unittest

from daemon import ENDED, ENVIRONMENT, MODEL, PATIENCE, body, side_by_side, wait_for
from daemon_case import BANYAND, at_first, daemon_case, undisturbed


def banyand(*words):
    """To its end."""
    return subprocess.run([BANYAND, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT)


# ---- begin


class beginning(daemon_case):
    def fails(self, code, *words, names):
        """It ends with `code` and one line that names the input."""
        usual = {"--listen": "127.0.0.1:0", "--data-dir": self.folder / "data", "--model": MODEL, "--log-level": "error"}
        done = banyand(*words, *(word for name in usual if name not in words for word in (name, usual[name])))
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertRegex(done.stderr, r"^banyand: .+: .+; .+")
        self.assertIn(names, done.stderr)
        return done

    def test_it_says_where_it_listens_and_nothing_else(self):
        one = self.start()
        self.assertRegex(one.line, r"^banyand: http://127\.0\.0\.1:\d+\n$")
        self.assertEqual(one.get("/healthz").body, "ok\n")
        self.assertEqual(one.get("/readyz").status, 200)
        self.assertEqual(one.stop(), 0)
        self.assertEqual(one.process.stdout.read(), b"")

    def test_an_interrupt_ends_it_in_order_too(self):
        self.assertEqual(self.start().stop(signal.SIGINT), 0)

    def test_help_and_version(self):
        told_help = banyand("--help")
        self.assertEqual((told_help.returncode, told_help.stderr), (0, ""))
        for word in ("--listen", "--data-dir", "--token-file", "16 characters", "--sync", "Examples:"):
            self.assertIn(word, told_help.stdout)
        self.assertRegex(banyand("--version").stdout, r"^banyand \d+\.\d+\.\d+\n$")

    def test_wrong_options(self):
        for words, names in [
            (["--lisen", "127.0.0.1:0"], "did you mean --listen?"),
            (["--listen", "nowhere:x"], "nowhere:x"),
            (["--listen", "127.0.0.1:65536"], "127.0.0.1:65536"),
            (["--listen", "0.0.0.0:0"], "token"),
            (["--listen", "not-an-address:0"], "not-an-address"),
            (["--concurrency", 0], "--concurrency"),
            (["--max-queue", "many"], "many"),
            (["--threads", 100000], "--threads"),
            (["--device", "tpu"], "tpu"),
            (["--dtype", "int8"], "int8"),
            (["--sync", "never"], "never"),
            (["--drain", -1], "--drain"),
            (["--keep-megabytes", 18446744073710], "18446744073710"),
            (["--log-level", "loud"], "loud"),
            (["--log-format", "xml"], "xml"),
            (["--user", "nobody-of-that-name"], "nobody-of-that-name"),
            (["left over"], "left over"),
        ]:
            with self.subTest(words=words):
                self.fails(2, *words, names=names)

    def test_a_wrong_config_file(self):
        for text, names in [("lisen = 127.0.0.1:0\n", "lisen"), ("concurrency = none\n", "none"), ("nonsense\n", "c.conf"),
                            ("drain = 1\ndrain = 2\n", "drain"), ("print-config = true\n", "print-config"), ("config = x\n", "config")]:
            with self.subTest(text=text):
                self.fails(2, "--config", self.write("c.conf", text), names=names)
        self.fails(3, "--config", self.folder / "nowhere.conf", names="nowhere.conf")

    def test_a_token_that_cannot_be_had(self):
        for name, text in [("empty", ""), ("short", "x" * 15 + "\n"), ("words", "a-token-that-is-long and more\n"),
                           ("bell", "a-token-that-is-long\a\n"), ("lines", "a-token-that-is-long\nand-another-one\n")]:
            with self.subTest(name=name):
                self.fails(3, "--token-file", self.write(name, text), names=name)
        self.fails(3, "--token-file", self.folder / "nowhere", names="nowhere")
        self.fails(3, "--token-file", self.folder, names=str(self.folder))

    def test_a_model_that_is_missing_or_damaged(self):
        self.fails(3, "--model", self.folder / "nowhere", names="nowhere")
        for name, size in [("model.safetensors", 1000), ("config.json", 20), ("tokenizer.json", 20)]:
            with self.subTest(name=name):
                model = self.folder / "model"
                shutil.copytree(MODEL, model, dirs_exist_ok=True)
                os.truncate(model / name, size)
                self.fails(3, "--model", model, names=name)
                shutil.rmtree(model)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.fails(3, "--listen", f"127.0.0.1:{port}", names=f"127.0.0.1:{port}")

    def test_a_folder_in_use_and_free_again(self):
        first = self.start()
        self.fails(3, names=str(first.data))
        first.kill()
        self.start()

    def test_a_folder_that_cannot_be(self):
        self.write("file", "")
        self.fails(3, "--data-dir", self.folder / "file" / "data", names="data")

    def test_a_store_that_is_damaged(self):
        whole = self.start()
        for _ in range(4):
            whole.solve(body(0))
        self.assertEqual(whole.stop(), 0)
        store = whole.data / "trees.db"
        good = store.read_bytes()
        self.fails_with_store(store, b"This is not a database, but it is long enough to be one.\n" * 100)
        self.fails_with_store(store, good[:30000])
        store.write_bytes(good)
        self.assertEqual(len(self.start().all_trees()), 4)

    def fails_with_store(self, store, content):
        store.write_bytes(content)
        self.fails(3, names="trees.db")

    def test_the_printed_config_says_the_same_once_more(self):
        words = ["--listen", "127.0.0.1:0", "--data-dir", self.folder / "data of mine", "--model", MODEL, "--concurrency",
                 7, "--sync", "normal", "--keep-days", 1.5, "--log-format", "json", "--max-queue", 3, "--device", "cpu",
                 "--requests-per-second", 12.5, "--drain", 0]
        first = banyand("--print-config", *words)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertRegex(first.stdout, r"(?m)^concurrency *= *7$")
        file = self.write("banyand.conf", first.stdout)
        self.assertEqual(banyand("--print-config", "--config", file).stdout, first.stdout)
        one = subprocess.Popen([BANYAND, "--config", file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            self.assertRegex(one.stdout.readline(), "^banyand: http://")
            one.terminate()
            said, log = one.communicate(timeout=PATIENCE)
        finally:
            one.kill()
        self.assertEqual((one.returncode, said), (0, ""))
        for line in log.splitlines():
            json.loads(line)
        self.assertTrue((self.folder / "data of mine" / "trees.db").exists())

    def test_the_printed_config_names_what_is_not_set(self):
        given = banyand("--print-config", "--data-dir", self.folder)
        for name in ("model", "device", "token-file", "user"):
            self.assertRegex(given.stdout, f"(?m)^# {name} =")
        again = banyand("--print-config", "--config", self.write("banyand.conf", given.stdout))
        self.assertEqual((again.returncode, again.stdout), (0, given.stdout))

    def test_the_config_is_printed_without_a_token(self):
        given = banyand("--print-config", "--data-dir", self.folder, "--token-file", self.folder / "nowhere")
        self.assertEqual((given.returncode, given.stderr), (0, ""))
        self.assertRegex(given.stdout, "(?m)^token-file *= *.*nowhere$")

    def test_the_folder_is_for_its_owner_alone(self):
        one = self.start()
        self.assertEqual(one.data.stat().st_mode & 0o777, 0o700)

    def test_its_files_are_for_their_owner_alone_in_any_folder(self):
        data = self.folder / "data"
        data.mkdir()
        data.chmod(0o755)
        (data / "of others").touch()
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        one = self.start()
        one.solve(body(0))
        made = {f.name: f.stat().st_mode & 0o777 for f in data.iterdir() if f.name != "of others"}
        self.assertLessEqual({"lock", "trees.db"}, made.keys())
        self.assertEqual(set(made.values()), {0o600}, made)
        status = (pathlib.Path("/proc") / str(one.pid) / "status").read_text()
        self.assertIn("Umask:\t0077\n", status)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_what_a_lock_leads_to_does_not_become_the_users(self):
        data, secret = self.folder / "data", self.write("secret", "of root")
        secret.chmod(0o600)
        self.folder.chmod(0o755)
        data.mkdir()
        shutil.chown(data, "nobody")
        (data / "lock").symlink_to(secret)
        self.fails(3, "--user", "nobody", names=str(data / "lock"))
        self.assertEqual((secret.stat().st_uid, secret.stat().st_mode & 0o777), (0, 0o600))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_root_makes_a_folder_for_the_user_it_becomes(self):
        self.folder.chmod(0o755)
        model = self.folder / "model"
        shutil.copytree(MODEL, model)
        one = self.start("--user", "nobody", model=model)
        one.solve(body(0))
        owners = {f.name: f.owner() for f in [one.data, *one.data.iterdir()]}
        self.assertEqual(set(owners.values()), {"nobody"}, owners)
        self.assertEqual(one.data.stat().st_mode & 0o777, 0o700)

    def test_a_folder_that_others_use_stays_theirs(self):
        shared = self.folder / "data"
        shared.mkdir()
        shared.chmod(0o755)
        (shared / "of others").touch()
        one = self.start()
        self.assertEqual(one.data, shared)
        self.assertEqual(shared.stat().st_mode & 0o777, 0o755)


# ---- what is told to operators


class metrics_page:
    def __init__(self, text):
        self.kinds, self.samples, self.helped = {}, {}, set()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.helped, name
                self.helped.add(name)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.kinds and kind in ("gauge", "counter", "histogram"), line
                self.kinds[name] = kind
            elif line:
                found = re.fullmatch(r"([a-z_]+)(\{.*\})? (\S+)", line)
                assert found, line
                labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
                key = (found[1], tuple(sorted(labels.items())))
                assert key not in self.samples, line
                self.samples[key] = float(found[3])

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]


class looking_inside(daemon_case):
    def test_figures_agree_wherever_they_stand(self):
        one = self.start("--concurrency", 4)
        side_by_side(one.solve, [body(i) for i in range(6)] + [body(0, budget={"max_tokens": 5})])
        one.get("/v1/nothing")
        page = metrics_page(one.get("/metrics").body)
        now = one.status()
        for name, kind in page.kinds.items():
            self.assertIn(name, page.helped)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        for name in ("accepted", "finished", "solved", "failed", "cancelled"):
            self.assertEqual(page.value(f"banyan_trees_{name}_total"), now["trees"][name])
        self.assertEqual(now["trees"]["finished"], 7)
        self.assertEqual(page.value("banyan_tree_failures_total", failure="budget_spent"), 1)
        self.assertEqual(page.value("banyan_generated_tokens_total"), now["tokens"]["generated"])
        self.assertEqual(page.value("banyan_store_trees", state="finished"), now["store"]["finished"])
        for name in ("queued", "decoding", "waiting", "paused"):
            self.assertEqual(page.value("banyan_threads", state=name), now["threads"][name])
        pool = now["pools"][0]
        for name in ("steps", "generated_tokens", "prompt_tokens", "cached_tokens"):
            self.assertEqual(page.value(f"banyan_pool_{name}_total", pool=pool["name"]), pool[name])
        self.assertEqual(page.value("banyan_http_requests_total", method="POST", path="/v1/trees", status="200"), 7)
        self.assertEqual(page.value("banyan_http_requests_total", method="GET", path="other", status="404"), 1)
        for name in (n for n, kind in page.kinds.items() if kind == "histogram"):
            self.whole_histogram(page, name)

    def whole_histogram(self, page, name):
        rows = {}
        for (sample, labels), value in page.samples.items():
            if sample == f"{name}_bucket":
                rest = tuple(pair for pair in labels if pair[0] != "le")
                rows.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        self.assertTrue(rows, name)
        for labels, buckets in rows.items():
            values = [value for _, value in sorted(buckets)]
            self.assertEqual(values, sorted(values))
            self.assertEqual(sorted(buckets)[-1][0], float("inf"))
            self.assertEqual(page.samples[f"{name}_count", labels], values[-1])

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

    def test_log_lines_are_json_and_name_their_tree(self):
        one = self.start("--log-format", "json", "--log-level", "debug")
        name = one.solve(body(0))["id"]
        one.post(f"/v1/trees/{name}/cancel")
        self.assertEqual(one.stop(), 0)
        lines = [json.loads(line) for line in one.log().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("error", "warning", "info", "debug"))
        about = [line["message"] for line in lines if line.get("tree") == name]
        self.assertTrue(any(m.startswith("POST /v1/trees 200") for m in about), about)
        self.assertTrue(any(m.startswith(f"POST /v1/trees/{name}/cancel 409") for m in about), about)

    def test_nobody_else_writes_lines_of_the_log(self):
        for words in ((), ("--log-format", "json")):
            with self.subTest(words=words):
                one = self.start("--log-level", "debug", *words)
                known = one.log()
                one.get("/v1/trees/x%0a2026-11-22T09:30:00Z%20error%20FORGED%1b%5b2J%7f%c2%9b%9b")
                self.assertEqual(one.stop(), 0)
                said = one.log().removeprefix(known)
                (forged,) = (line for line in said.split("\n") if "FORGED" in line)
                self.assertIn("GET /v1/trees/x", forged)
                self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
                self.assertNotIn('"tree"' if words else "[x", forged)

    def test_every_tree_leaves_a_line_when_it_ends(self):
        one = self.start("--log-format", "json")
        solved = one.solve(body(0))
        failed = one.solve(body(1, budget={"max_tokens": 5}))["id"]
        waiting = one.submit(body(2, budget={"deadline_s": 3600}))
        for action in ("pause", "resume", "cancel"):
            one.post(f"/v1/trees/{waiting}/{action}")
        self.assertEqual(one.stop(), 0)
        lines = [json.loads(line) for line in one.log().splitlines()]

        def about(name):
            return [line["message"] for line in lines if line.get("tree") == name]

        self.assertEqual(len(about(solved["id"])), 1, lines)
        tokens, threads = solved["usage"]["generated_tokens"], solved["usage"]["threads"]
        self.assertRegex(about(solved["id"])[0], rf"^((un)?solved|failed \(.*\)), {tokens} tokens, {threads} threads?, \d+ ms$")
        self.assertEqual(len(about(failed)), 1, lines)
        self.assertRegex(about(failed)[0], r"^failed \(budget_spent\), 5 tokens, 1 thread, \d+ ms$")
        self.assertEqual({line["level"] for line in lines}, {"info"})
        by_hand = [m for m in about(waiting) if m.endswith("by hand")]
        self.assertEqual(by_hand, ["paused by hand", "resumed by hand", "cancelled by hand"][:len(by_hand)])

    def test_logs_are_as_loud_as_asked_for(self):
        one = self.start("--log-level", "error")
        one.get("/v1/nothing")
        one.stop()
        self.assertEqual(one.log(), "")

    def with_an_unread_log(self, *words):
        """A daemon whose standard error is a small pipe, and the pipe's other end."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        with open(writing, "wb") as log:
            return self.start("--log-level", "debug", *words, log=log), reading

    def ask_often(self, one, count):
        connection = one.connect(timeout=20)
        for _ in range(count):
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
        connection.close()

    def test_a_log_that_nobody_reads_holds_nothing_up(self):
        one, _ = self.with_an_unread_log()
        self.ask_often(one, 300)
        self.assertEqual(one.solve(body(0))["state"], "done")
        begin = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - begin, 30)

    def test_a_log_that_is_read_late_says_what_is_missing(self):
        one, reading = self.with_an_unread_log()
        self.ask_often(one, 6000)
        one.process.send_signal(signal.SIGTERM)
        lines = b"".join(iter(lambda: os.read(reading, 65536), b"")).decode().splitlines()
        self.assertEqual(one.wait(), 0)
        (dropped,) = [int(m[1]) for m in map(re.compile(r" (\d+) lines of the log were not written").search, lines) if m]
        told = sum("GET /healthz 200" in line for line in lines)
        self.assertGreater(dropped, 1000)
        self.assertLess(abs(6000 - dropped - told), 10)  # other lines are among the dropped ones
        self.assertTrue(lines[-1].endswith("ended"), lines[-1])


# ---- trouble with the store


class store_trouble(daemon_case):
    def damage(self, one, sql, *values):
        store = sqlite3.connect(one.data / "trees.db")
        store.execute(sql, values)
        store.commit()
        store.close()

    def rows(self, one, sql):
        store = sqlite3.connect(one.data / "trees.db")
        found = store.execute(sql).fetchall()
        store.close()
        return found

    def export(self, one):
        program = pathlib.Path(BANYAND).with_name("banyan")
        return subprocess.run([program, "export", "--store", one.data / "trees.db"], capture_output=True, text=True,
                              timeout=PATIENCE, env=ENVIRONMENT)

    def test_a_damaged_tree_costs_nothing_but_itself(self):
        one = self.start("--concurrency", 1)
        whole, finished = (one.solve(body(i))["id"] for i in range(2))
        asked = [one.submit(body(2 + i)) for i in range(12)]
        one.kill()
        unfinished = [row[0] for row in self.rows(one, "SELECT id FROM trees WHERE finished_ms IS NULL ORDER BY seq")]
        self.assertGreater(len(unfinished), 1)
        lost = unfinished[0]
        garbage = b"\x00\xff" * 20
        self.damage(one, "UPDATE trees SET request=? WHERE id=?", garbage, lost)
        self.damage(one, "UPDATE trees SET outline=?, tree=? WHERE id=?", garbage, garbage, finished)

        exported = self.export(one)
        self.assertEqual(exported.returncode, 3)
        self.assertEqual({json.loads(line)["id"] for line in exported.stdout.splitlines()}, {whole, *asked} - {lost})
        self.assertRegex(exported.stderr, f"banyan: .*trees.db: tree {lost}: ")
        self.assertRegex(exported.stderr, f"banyan: .*trees.db: tree {finished}: ")

        two = self.start("--log-format", "json")
        wait_for(two.idle, "the others do not go on")
        listed = two.get("/v1/trees?limit=1000")
        self.assertEqual(listed.status, 200, listed)
        self.assertEqual(sorted(listed.json["damaged"]), sorted([lost, finished]))
        self.assertEqual({t["id"] for t in listed.json["trees"]}, {whole, *asked} - {lost})
        for name in (lost, finished):
            told = self.refused(two.get(f"/v1/trees/{name}"), 500, "damaged_tree").error["message"]
            self.assertIn(str(two.data / "trees.db"), told)
            self.assertIn(f"tree {name}: ", told)
        self.refused(two.post(f"/v1/trees/{lost}/cancel"), 500, "damaged_tree")
        self.assertEqual(two.get(f"/v1/trees/{whole}").status, 200)
        self.assertEqual(metrics_page(two.get("/metrics").body).value("banyan_store_damaged_trees"), 2)
        self.assertEqual(two.status()["store"]["damaged"], 2)
        two.get("/v1/trees")
        self.assertEqual(two.stop(), 0)
        lines = [json.loads(line) for line in two.log().splitlines() if line.startswith("{")]
        for name in (lost, finished):
            about = [(x["level"], x["message"]) for x in lines if x.get("tree") == name]
            said = [level for level, message in about if not message.startswith(("GET ", "POST "))]
            self.assertEqual(said, ["error"], about)
        self.assertEqual(self.rows(two, f"SELECT request FROM trees WHERE id='{lost}'"), [(garbage,)])

    def test_readiness_goes_with_the_room_on_the_disk_and_comes_back(self):
        one = self.start("--log-level", "info")
        one.solve(body(0))
        self.assertEqual(one.get("/readyz").status, 200)
        no_room = max(file.stat().st_size for file in one.data.iterdir())
        _, hard = resource.prlimit(one.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (no_room, hard))
        wait_for(lambda: one.post("/v1/trees", {**body(1), "wait": False}).status == 503, "the disk has room")
        refused = self.refused(one.get("/readyz"), 503, "unavailable")
        self.assertIn("trees.db", refused.error["message"])
        now = one.status()
        self.assertFalse(now["ready"])
        self.assertIn("trees.db", now["not_ready"])
        self.assertIn("make room", now["store"]["trouble"])
        self.assertEqual(metrics_page(one.get("/metrics").body).value("banyan_ready"), 0)
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_for(lambda: one.get("/readyz").status == 200, "it does not become ready")  # without any write of ours
        self.assertIsNone(one.status()["not_ready"])
        one.logs("the store can be written again")
        one.solve(body(1))


# ---- options that change


class changing(daemon_case):
    def read_again(self, one):
        known = one.log().count("the config")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: one.log().count("the config") > known, "the config was not read")

    def test_a_new_token_takes_the_place_of_the_old_one(self):
        old, new = "an-old-token-of-some-length", "a-new-token-of-some-length"
        file = self.write("token", old + "\n")
        one = self.start("--token-file", file)
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.get("/v1/status").status, 401)
        one.token = old
        self.assertEqual(one.get("/v1/status").status, 200)
        file.write_text(new + "\n")
        self.assertEqual(one.get("/v1/status").status, 200)
        self.read_again(one)
        self.refused(one.get("/v1/status"), 401, "unauthorized")
        one.token = new
        self.assertEqual(one.get("/v1/status").status, 200)

    def test_a_file_without_a_token_changes_nothing(self):
        file = self.write("token", "a-token-of-some-length\n")
        one = self.start("--token-file", file)
        one.token = "a-token-of-some-length"
        file.write_text("")
        self.read_again(one)
        one.logs("stays as it was")
        self.assertEqual(one.get("/v1/status").status, 200)
        one.token = None
        self.assertEqual(one.get("/v1/status").status, 401)

    def test_the_log_becomes_as_loud_as_the_config_says(self):
        config = self.write("banyand.conf", "log-level = info\n")
        one = self.start("--config", config)
        one.get("/v1/status")
        self.assertNotIn("/v1/status", one.log())
        config.write_text("log-level = debug\n")
        self.read_again(one)
        one.get("/v1/status")
        one.logs("GET /v1/status 200")
        config.write_text("log-level = quiet\n")
        self.read_again(one)
        one.logs("stays as it was")
        one.get("/v1/pools")
        one.logs("GET /v1/pools 200")

    def test_what_waits_for_the_next_start_is_named(self):
        config = self.write("banyand.conf", "concurrency = 3\n")
        one = self.start("--config", config)
        self.read_again(one)
        self.assertNotIn("next start", one.log())
        config.write_text("concurrency = 4\ndevice = cpu\nlog-level = debug\n")
        self.read_again(one)
        warned = [line for line in one.log().splitlines() if "next start" in line]
        self.assertEqual(len(warned), 2, warned)
        for name, line in zip(("device", "concurrency"), warned):
            self.assertIn(f"{name}: ", line)
        one.get("/v1/status")
        one.logs("GET /v1/status 200")  # the rest counts at once

    def test_rates_and_retention_change_too(self):
        config = self.write("banyand.conf", "")
        one = self.start("--config", config)
        self.assertTrue(all(one.get("/v1/models").status == 200 for _ in range(20)))
        config.write_text("requests-per-second = 1\n")
        self.read_again(one)
        given = [one.get("/v1/models") for _ in range(20)]
        self.assertIn(429, [g.status for g in given])
        limited = next(g for g in given if g.status == 429)
        self.refused(limited, 429, "too_many_requests")
        self.assertRegex(limited.headers["Retry-After"], r"^\d+$")


# ---- end


def waiting_clients(one, count):
    """Clients that wait for a tree each, once many run; returns what joins them and gives their answers."""
    answers = []
    clients = [threading.Thread(target=lambda i=i: answers.append(
        one.post("/v1/trees", {**body(i), "sampling": {"temperature": 1, "seed": i}}))) for i in range(count)]
    for client in clients:
        client.start()
    wait_for(lambda: one.status()["trees"]["running"] > 10, "the trees do not run", pause=0.005)

    def join():
        for client in clients:
            client.join()
        return answers

    return join


def states_of(one, name):
    """Of the tree's threads that have not ended."""
    return {t["state"] for t in one.tree(name)["threads"]} - {*ENDED}


class ending(daemon_case):
    def test_what_was_cut_off_goes_on_after_a_restart(self):
        numbers = range(8)
        one = self.start("--drain", 0, "--concurrency", 5)
        names = [one.submit(body(i)) for i in numbers]
        with contextlib.closing(one.stream(f"/v1/trees/{names[0]}/events")) as watched:
            at_first(watched, "spawn")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())
        again = self.start()
        for number, name in zip(numbers, names):
            self.same_texts(again.finished(name), undisturbed(number))
        self.assertEqual(sorted(t["id"] for t in again.all_trees()), sorted(names))

    def test_it_waits_for_trees_as_long_as_it_was_told(self):
        one = self.start("--drain", 60)
        names = [one.submit(body(i)) for i in range(3)]
        self.assertEqual(one.stop(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        self.assertEqual({again.tree(n)["state"] for n in names} - {*ENDED}, set())

    def test_a_wait_that_no_clock_counts_is_a_long_one(self):
        one = self.start("--drain", "1e300", "--concurrency", 40)
        names = [one.submit(body(i)) for i in range(40)]
        self.assertEqual(one.stop(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        self.assertEqual({again.tree(n)["state"] for n in names} - {*ENDED}, set())

    def test_clients_that_wait_are_told_that_it_ends(self):
        one = self.start("--drain", 0, "--concurrency", 2)
        given = []
        clients = [threading.Thread(target=lambda i=i: given.append(one.post("/v1/trees", body(i)))) for i in range(12)]
        for client in clients:
            client.start()
        wait_for(lambda: one.status()["trees"]["accepted"] == 12, "not all are there")
        watched = one.stream("/v1/events")
        self.assertEqual(one.stop(), 0)
        list(watched)  # the stream has an end
        for client in clients:
            client.join()
        statuses = [g.status for g in given]
        self.assertEqual(len(statuses), 12)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertGreater(statuses.count(503), 5)
        for g in given:
            if g.status == 503:
                self.refused(g, 503, "unavailable")
                self.assertRegex(g.headers["Retry-After"], r"^\d+$")

    def test_completions_do_not_hold_it_up_and_are_told(self):
        one = self.start("--drain", 0)
        wish = {"prompt": "Moving to Node #0\n", "max_tokens": 2000, "temperature": 2, "stream": True, "n": 8}
        streams = [one.stream("/v1/completions", {**wish, "seed": i}) for i in range(8)]
        next(iter(streams[0]))  # they are decoded
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        for watched in streams:
            list(watched)  # each has an end
        self.assertNotIn("in time", one.log())

    def test_a_paused_tree_does_not_hold_it_up_and_is_paused_after_a_restart(self):
        one = self.start("--drain", 60)
        name = one.submit(body(0))
        self.assertEqual(one.post(f"/v1/trees/{name}/pause").status, 200)
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        again = self.start()
        self.assertEqual(again.tree(name)["state"], "paused")
        self.assertEqual(again.post(f"/v1/trees/{name}/resume").status, 200)
        self.same_texts(again.finished(name), undisturbed(0))

    def test_trees_that_wait_do_not_begin_any_more(self):
        one = self.start("--drain", 60, "--concurrency", 1)
        names = [one.submit(body(i)) for i in range(60)]
        self.assertEqual(one.stop(), 0)
        end = one.log().split("no more work is taken")[1]
        self.assertLessEqual(len(re.findall(r" tokens, \d+ threads", end)), 2)  # the one that ran, and one that just ended
        kept = int(re.search(r"(\d+) unfinished trees are kept", end)[1])
        self.assertGreater(kept, 20)
        again = self.start("--concurrency", 60)
        self.assertIn(f"{kept} unfinished trees are taken up", again.log())
        for name in names:
            again.finished(name)

    def test_a_tree_that_cannot_go_on_does_not_hold_it_up(self):
        one = self.start("--drain", 60, "--concurrency", 60)
        names = [one.submit({**body(i), "sampling": {"temperature": 1, "seed": i}}) for i in range(60)]
        wait_for(lambda: one.status()["threads"]["waiting"] > 5, "no tree spawns", pause=0.005)
        paused = []
        for name in reversed(names):
            for thread in one.tree(name)["threads"][1:]:
                if one.post(f"/v1/trees/{name}/pause", {"thread": thread["path"]}).status == 200:
                    paused.append(name)
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees do not end")
        stuck = [name for name in sorted({*paused}) if states_of(one, name) == {"waiting", "paused"}]
        self.assertGreater(len(stuck), 0)
        began = time.monotonic()
        self.assertEqual(one.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn(f"{len(stuck)} unfinished trees are kept", one.log())
        again = self.start()
        self.assertEqual(states_of(again, stuck[0]) & {"paused"}, {"paused"})
        for name in stuck:
            self.assertEqual(again.post(f"/v1/trees/{name}/resume").status, 200)
            again.finished(name)

    def test_trees_that_wait_after_a_restart_look_alike_from_everywhere(self):
        one = self.start("--concurrency", 24)
        names = [one.submit(body(i)) for i in range(24)]
        paused = [name for name in names if one.post(f"/v1/trees/{name}/pause").status == 200]
        one.kill()
        again = self.start("--concurrency", 1)
        self.assertGreater(len(paused), 4)
        lists = {tree["id"]: tree for tree in again.all_trees("&state=paused")}
        self.assertEqual(set(lists), set(paused))
        for name in paused:
            tree = again.tree(name)
            self.assertEqual(tree["usage"], lists[name]["usage"])
            self.assertEqual([t["path"] for t in tree["threads"]], [t["path"] for t in lists[name]["threads"]])
            self.assertEqual([t["state"] for t in tree["threads"]], [t["state"] for t in lists[name]["threads"]])
        for name in paused:  # all but one of them wait for their turn
            self.assertIn(again.post(f"/v1/trees/{name}/resume").json["state"], ("queued", "running"))
        for name in names:
            again.finished(name)

    def test_a_wish_to_read_the_config_does_not_cut_the_waiting_off(self):
        one = self.start("--drain", 600, "--concurrency", 20)
        names = [one.submit(body(i)) for i in range(20)]
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work is taken" in one.log(), "it does not end")
        for _ in range(3):
            one.process.send_signal(signal.SIGHUP)
        self.assertEqual(one.wait(), 0)
        self.assertNotIn("kept for the next start", one.log())
        again = self.start()
        for name in names:
            self.assertIsNotNone(again.tree(name)["finished"])

    def test_who_waits_for_a_tree_hears_its_name_and_only_trees_are_counted_as_kept(self):
        one = self.start("--drain", 0, "--concurrency", 1)
        for i in range(3):
            one.submit({**body(i), "sampling": {"temperature": 1, "seed": i}})
        told, completed = [], []
        waiting = threading.Thread(target=lambda: told.append(one.post("/v1/trees", body(5))))
        writing = threading.Thread(target=lambda: completed.append(
            one.post("/v1/completions", {"prompt": "Moving to Node #0\n", "max_tokens": 2000, "n": 100})))
        waiting.start()
        wait_for(lambda: one.status()["trees"]["accepted"] == 4, "the tree is not taken")
        writing.start()
        wait_for(lambda: sum(p["running"] + p["queued"] for p in one.get("/v1/pools").json["pools"]) > 50, "nothing is completed")
        unfinished = one.status()["store"]["unfinished"]
        self.assertEqual(one.stop(), 0)
        waiting.join(), writing.join()
        kept = re.search(r"(\d+) unfinished trees are kept", one.log())
        self.assertLessEqual(int(kept[1]), unfinished)
        message = self.refused(told[0], 503, "unavailable").error["message"]
        name = re.search(r"tree (\w{26}) is kept", message)[1]
        self.same_texts(self.start().finished(name), undisturbed(5))

    def test_who_waits_for_trees_that_run_hears_their_names(self):
        one = self.start("--drain", 0, "--concurrency", 64)
        told = waiting_clients(one, 40)
        self.assertEqual(one.stop(), 0)
        answers = told()
        solved = [a for a in answers if a.status == 200]
        names = re.findall(r"tree (\w{26}) is kept and goes on", str([a.error for a in answers if a.status == 503]))
        self.assertGreater(len(names), 5)
        again = self.start()
        for name in names:
            again.finished(name)
        self.assertEqual(again.status()["store"]["finished"], len(solved) + len(names))

    def test_a_second_signal_ends_the_waiting(self):
        one = self.start("--drain", 600, "--concurrency", 200)
        for i in range(200):
            one.submit(body(i))
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work is taken" in one.log(), "it does not end")
        self.refused(one.post("/v1/trees", {**body(0), "wait": False}), 503, "unavailable")
        self.assertEqual(one.stop(), 0)
        self.assertIn("kept for the next start", one.log())


# ---- a disk without room


class full_disk(daemon_case):
    """The kernel refuses to let files grow, as a full disk does."""

    def room(self, one, size):
        resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_nothing_is_taken_that_cannot_be_kept_and_nothing_taken_is_lost(self):
        one = self.start("--concurrency", 3)
        names = [one.submit(body(i)) for i in range(8)]
        self.room(one, 4096)
        for wait in (False, True):
            given = self.refused(one.post("/v1/trees", {**body(0), "wait": wait}), 503, "unavailable")
            self.assertIn("store", given.error["message"])
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees that began do not end", pause=0.05)
        self.assertEqual((one.get("/healthz").status, one.get("/v1/trees").status), (200, 200))
        one.logs("make room")
        self.assertLess(one.log().count("\n"), 60)
        self.room(one, resource.RLIM_INFINITY)
        for number, name in enumerate(names):
            tree = one.finished(name)
            if number < 2:
                self.same_texts(tree, undisturbed(number))
        self.assertEqual(one.solve(body(0))["state"], undisturbed(0)["state"])
        wait_for(lambda: one.status()["store"]["unfinished"] == 0, "the store has trees that nobody grows")
        self.assertEqual(one.stop(), 0)

    def test_who_waits_for_a_tree_whose_end_cannot_be_stored_hears_its_id(self):
        one = self.start("--concurrency", 64)
        told = waiting_clients(one, 20)
        self.room(one, 4096)
        names = re.findall(r"store: it could not be written; tree (\w{26}) is kept", str([a.error for a in told() if a.status == 503]))
        self.assertGreater(len(names), 5)
        self.room(one, resource.RLIM_INFINITY)
        for name in names:
            one.finished(name)

    def test_of_a_tree_that_was_refused_nothing_is_kept(self):
        one = self.start("--concurrency", 8)
        one.solve(body(0))
        self.room(one, 4096)
        answers = side_by_side(lambda i: one.post("/v1/trees", body(i)), range(24))
        self.assertEqual({a.status for a in answers}, {503})
        kept = re.findall(r"tree (\w{26}) is kept", str([a.error for a in answers]))
        self.assertEqual(one.status()["trees"]["running"], len(kept))  # and none is said to run
        self.room(one, resource.RLIM_INFINITY)
        wait_for(lambda: one.get("/readyz").status == 200, "it does not become ready")
        wait_for(lambda: one.status()["trees"]["running"] == 0, "trees do not end")
        self.assertEqual(len(one.all_trees()), 1 + len(kept))

    def test_it_ends_in_order_on_a_full_disk(self):
        one = self.start("--concurrency", 3)
        names = [one.submit(body(i)) for i in range(6)]
        self.room(one, 4096)
        wait_for(lambda: one.status()["threads"]["decoding"] == 0, "trees that began do not end", pause=0.05)
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "no more work" in one.log(), "it does not end")
        one.process.send_signal(signal.SIGTERM)  # without the moment that trees get
        self.assertEqual(one.wait(), 0)
        again = self.start()
        self.same_texts(again.finished(names[0]), undisturbed(0))
        for name in names:
            again.finished(name)


# ---- the service manager


class manager(daemon_case):
    def listen(self, name):
        told_here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told_here.close)
        told_here.settimeout(PATIENCE)
        told_here.bind(name)
        return told_here

    def heard(self, told_here, word):
        """What is said from now on until that word."""
        said = []
        while not any(line == word or line.startswith(word + "=") for line in said):
            said += told_here.recv(4096).decode().splitlines()
        return said

    def test_who_started_it_may_go_before_it_is_ready(self):
        read, write = os.pipe()
        os.close(read)
        one = self.start(ready=False, output=write)
        os.close(write)
        wait_for(lambda: "going on" in one.log(), "it says nothing of its address")
        address = re.search(r"nobody reads the address (http://127\.0\.0\.1:(\d+)); going on", one.log())
        one.url, one.port = address[1], int(address[2])
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.stop(), 0)

    def test_descriptors_that_are_closed_are_no_place_for_files(self):
        for closed in ((0, 2), (0,), (2,)):
            with self.subTest(closed=closed):
                one = self.start(preexec_fn=lambda: [os.close(d) for d in closed])
                self.assertEqual(one.get("/healthz").status, 200)
                self.assertEqual(one.stop(), 0)
                for file in one.data.iterdir():
                    self.assertNotIn(b"ready after", file.read_bytes(), file)

    def test_a_token_that_is_taken_away_is_told(self):
        secret = self.write("token", "a-token-that-is-long\n")
        config = self.write("b.conf", f"token-file = {secret}\n")
        one = self.start("--config", config)
        self.assertEqual(one.get("/v1/status").status, 401)
        config.write_text("")
        one.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "whoever is on this machine is let in" in one.log(), "nothing is said")
        self.assertRegex(one.log(), r"(?m)^.*warn.*token-file: there is none any more")
        self.assertEqual(one.get("/v1/status").status, 200)

    def test_the_manager_hears_of_begin_life_and_end(self):
        path = str(self.folder / "notify")
        told_here = self.listen(path)
        one = self.start(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        begin = self.heard(told_here, "READY")
        self.assertIn("READY=1", begin)
        self.assertIn(f"STATUS=serving {one.url}", begin)
        began = time.monotonic()
        for _ in range(3):
            self.heard(told_here, "WATCHDOG")
        self.assertLess(time.monotonic() - began, 10)
        one.process.send_signal(signal.SIGHUP)
        self.heard(told_here, "RELOADING")
        self.heard(told_here, "READY")
        one.process.send_signal(signal.SIGTERM)
        self.heard(told_here, "STOPPING")
        self.assertEqual(one.wait(), 0)

    def test_an_abstract_socket_does_as_well(self):
        name = f"banyand-test-{os.getpid()}"
        told_here = self.listen("\0" + name)
        self.start(environment={"NOTIFY_SOCKET": "@" + name})
        self.assertIn("READY=1", self.heard(told_here, "READY"))

    def test_a_manager_that_is_not_there_is_no_trouble(self):
        one = self.start(environment={"NOTIFY_SOCKET": str(self.folder / "nobody"), "WATCHDOG_USEC": "1"})
        self.assertEqual(one.get("/healthz").status, 200)
        self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    unittest.main()
